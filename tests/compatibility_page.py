"""docs/azure-compatibility.md, made from the routes themselves."""

from arm_routes import ROUTERS
from strongroom.model.identities.access import BUILT_IN
from strongroom.web.api.door import ACTION

# The call of Azure's SDK for Python that a route answers: client group and method.
SDK = {
    "put_vault": "backup_vaults.begin_create_or_update",
    "patch_vault": "backup_vaults.begin_update",
    "get_vault": "backup_vaults.get",
    "delete_vault": "backup_vaults.begin_delete",
    "check_name": "backup_vaults.check_name_availability",
    "list_vaults": "backup_vaults.get_in_resource_group",
    "list_all_vaults": "backup_vaults.get_in_subscription",
    "put_policy": "backup_policies.create_or_update",
    "get_policy": "backup_policies.get",
    "list_policies": "backup_policies.list",
    "delete_policy": "backup_policies.delete",
    "validate": "backup_instances.begin_validate_for_backup",
    "put_instance": "backup_instances.begin_create_or_update",
    "get_instance": "backup_instances.get",
    "list_instances": "backup_instances.list",
    "delete_instance": "backup_instances.begin_delete",
    "list_deleted_vaults": "deleted_backup_vaults.list_by_location",
    "get_deleted_vault": "deleted_backup_vaults.get",
    "list_deleted_instances": "deleted_backup_instances.list",
    "get_deleted_instance": "deleted_backup_instances.get",
    "undelete_instance": "deleted_backup_instances.begin_undelete",
    "stop_protection": "backup_instances.begin_stop_protection",
    "suspend_backups": "backup_instances.begin_suspend_backups",
    "resume_protection": "backup_instances.begin_resume_protection",
    "resume_backups": "backup_instances.begin_resume_backups",
    "back_up": "backup_instances.begin_adhoc_backup",
    "validate_restore": "backup_instances.begin_validate_for_restore",
    "restore": "backup_instances.begin_trigger_restore",
    "validate_change": "backup_instances.begin_validate_for_modify_backup",
    "sync_instance": "backup_instances.begin_sync_backup_instance",
    "rehydrate": "backup_instances.begin_trigger_rehydrate",
    "find_ranges": "restorable_time_ranges.find",
    "list_protecting": "backup_instances_extension_routing.list",
    "check_feature": "data_protection.check_feature_support",
    "list_operations": "data_protection_operations.list",
    "list_points": "recovery_points.list",
    "get_point": "recovery_points.get",
    "restore_second": "backup_instances.begin_trigger_cross_region_restore",
    "validate_second": "backup_instances.begin_validate_cross_region_restore",
    "list_second_points": "fetch_secondary_recovery_points.list",
    "list_second_jobs": "fetch_cross_region_restore_jobs.list",
    "get_second_job": "fetch_cross_region_restore_job.get",
    "list_jobs": "jobs.list",
    "export_jobs": "export_jobs.begin_trigger",
    "export_result": "export_jobs_operation_result.get",
    "get_job": "jobs.get",
    "put_guard": "resource_guards.put",
    "patch_guard": "resource_guards.patch",
    "get_guard": "resource_guards.get",
    "delete_guard": "resource_guards.delete",
    "list_guards": "resource_guards.get_resources_in_resource_group",
    "list_all_guards": "resource_guards.get_resources_in_subscription",
    "list_requests": "resource_guards.get_*_requests_objects",
    "get_request": "resource_guards.get_default_*_requests_object",
    "put_proxy": "dpp_resource_guard_proxy.create_or_update",
    "get_proxy": "dpp_resource_guard_proxy.get",
    "list_proxies": "dpp_resource_guard_proxy.list",
    "delete_proxy": "dpp_resource_guard_proxy.delete",
    "unlock_delete": "dpp_resource_guard_proxy.unlock_delete",
    "put_group": "resource_groups.create_or_update",
    "get_group": "resource_groups.get",
    "patch_group": "resource_groups.update",
    "delete_group": "resource_groups.begin_delete",
    "query_resources": "azure-mgmt-resourcegraph: resources",
    "list_resources": "resources.list_by_resource_group",
    "list_all_resources": "resources.list",
    "delete_server": "servers.begin_delete",
    "put_server": "servers.begin_create_or_update",
    "has_group": "resource_groups.check_existence",
    "list_groups": "resource_groups.list",
    "put_assignment": "role_assignments.create",
    "get_assignment": "role_assignments.get",
    "list_assignments": "role_assignments.list_for_scope",
    "delete_assignment": "role_assignments.delete",
    "list_definitions": "role_definitions.list",
    "get_definition": "role_definitions.get",
    "put_definition": "role_definitions.create_or_update",
    "delete_definition": "role_definitions.delete",
    "start_backup": "backups_long_term_retention.begin_start",
    "list_backups": "backups_long_term_retention.list_by_server",
    "get_backup": "backups_long_term_retention.get",
    "backup_status": "polling",
    "backup_result": "polling",
    "check_prerequisites": "backups_long_term_retention.check_prerequisites",
    "get_server": "servers.get",
    "list_servers": "servers.list_by_resource_group",
    "list_all_servers": "servers.list_by_subscription",
    "status": "operation_status.get and its vault and resource group contexts",
    "results": "operation_result.get, and polling",
    "vault_result": "backup_vault_operation_results.get",
    "instance_result": "backup_instances.get_backup_instance_operation_result",
}
SHORT = (
    ("/subscriptions/{subscription_id}", "S"),
    ("S/resourceGroups/{group}", "RG"),
    ("RG/providers/Microsoft.DataProtection/backupVaults/{vault}", "V"),
)

HEAD = """# Azure compatibility

Made from the routes of the API by a test; edit `tests/compatibility_page.py`, not this page.

strongroom speaks the REST API of Azure Backup (Microsoft.DataProtection) for PostgreSQL flexible
servers, with the parts of Microsoft.Resources, Microsoft.Authorization and
Microsoft.DBforPostgreSQL that a client needs on its way, and the token endpoint of Microsoft's
identity platform. Azure's own clients work unchanged; what differs is their address.

```python
credential = ClientSecretCredential(
    tenant, client_id, client_secret,
    authority=arm, disable_instance_discovery=True, connection_verify=ca,
)
client = DataProtectionMgmtClient(
    credential, subscription,
    base_url=arm, credential_scopes=[f"{arm}/.default"], connection_verify=ca,
)
```

The values are in `connection.json`. `credential_scopes` may be left out: tokens for
`https://management.azure.com` are accepted too.

## Tried with every change

| client | version | what it drives |
|---|---|---|
| azure-mgmt-dataprotection | 2.2.0, 1.4.0 | sync and async, from vault to backup, jobs, restore |
| azure-mgmt-postgresqlflexibleservers | 3.0.0 | long-term backups, a new server of a moment |
| azure-mgmt-authorization | 4.0.0 | role assignments and definitions |
| azure-mgmt-resource | 26.0.0 | resource groups |
| azure-identity | 1.27.0 | client secret and certificate, sync and async; managed identity |
| azure-storage-blob | 12.31.1 | exported jobs, and containers of the storage endpoint |

The requests of Terraform's azurerm provider are played, from creation through update and import
to deletion of its vault, policy and instance, with its pollers. The provider itself (5.2.0, with
Terraform 1.11.4), which no package registry has, was run by hand against a whole house: group,
vault, policies, roles, instance and resource guard were made, and planned again without a
difference; vault and instance were changed; all were destroyed. It is led here by
`ARM_METADATA_HOSTNAME`, host and port of `arm`, and by `SSL_CERT_FILE`, our `ca`; tenant,
subscription, client id and secret of `connection.json` go into `ARM_TENANT_ID`,
`ARM_SUBSCRIPTION_ID`, `ARM_CLIENT_ID` and `ARM_CLIENT_SECRET`. An instance that was deleted softly
keeps its policy in use: where soft delete is on, `terraform destroy` ends there with a 409.

`make compat` runs the real `az` 2.91.0: `cloud register`, `login` (secret and certificate),
`rest`, `group`, `resource`, `role definition` and `role assignment`. The requests of its extension
`dataprotection` are played, from a vault to a restore as files, as it sends them; the extension
itself (1.5.4), which no package registry has, was run by hand against a whole house.

## How it answers

- Any `api-version` will do, but one must be named. Path segments, names in the query and JSON keys
  come in any case; ids go out in canonical case, addresses absolute. A path with `%2F` is 400
  `InvalidRequestUri`, and a `PUT` without a body `InvalidRequestContent`.
- `201` and `202` carry `Azure-AsyncOperation`, `Location` and `Retry-After: 1`. An operation ends
  when its job is made; the job is followed by itself. Operations survive a restart. The answer to
  the `PUT` of an instance waits for its end, two seconds at most: clients look at once.
- The same request with the same `x-ms-client-request-id` from the same caller is one request;
  with another body it is another.
- Vaults have an `eTag`: `PUT`, `PATCH` and `DELETE` with an `If-Match` or `If-None-Match` that
  does not hold are `412 PreconditionFailed`, and change nothing.
- `operationResults` of a vault or an instance give the resource, elsewhere the job's id; of an
  operation that failed, its error.
- What a caller may not see is 404; what they see and may not do is 403.
- The vault's identity is checked at validation, and again as each backup and each restore begins:
  at the server (the one that a restore goes into, too), or at the container of our own that takes
  its files. `UserErrorMissingRequiredPermissions` and `UserErrorMSIMissingPermissions` name role,
  scope, identity and the command that gives the role.
- `PostgreSQLFlexOperationFailedUserError` is what a vault says where the server stands in the way;
  its `innerError` why: `ServerNotReadyForLongTermBackup`, also when it cannot be reached, or
  `AuthorizationFailed` of a backup that began without its roles. A server that refuses the agent
  is `UserErrorMissingDBPermissions`, one that goes away meanwhile
  `UserErrorServerConnectionClosed`. Operations of the server itself have the inner code alone.
  `properties.Kind` of each `UserFacingError` is our own word for it.
- A vault that was asked for with `identity.type` `None` shows none; it has one all the same.
- A flexible server has `backup` as its vault has it: days of which every second can be restored,
  whether there is a second copy and an immutable vault, and the oldest recovery point; null where
  nothing protects it, or the caller may not see what does.
  `administratorLogin` is the superuser that its cluster was made with, once its agent has looked.
- Every error has ARM's form, with a `UserFacingError` whose `recommendedAction` is the next step.
  `x-ms-correlation-request-id` is on every answer, and beside every failure of ours in the log.

## More than Azure answers

- `backupJobs`: `taskProgress` and bytes of each sub task while it runs.
- `validateForBackup` names everything that is missing at once, with the commands that mend it; a
  server that is too large for what is left in storage, however well it compresses, is `StoreFull`.
- `recoveryPoints`: `metaData` is JSON: version, LSNs, databases with their sizes, extensions.
- Restore as a server (`RestoreTargetInfo`) into a new directory on the host of the server's
  agent: `restoreTargetInfo.strongroom`, or `datasourceInfo.resourceUri` set to
  `file:///directory?start=true&port=5433` for clients that know Azure's models only.
- Restore in place: `restoreTargetInfo.strongroom.inPlace`, `true`; without `targetDirectory` it is
  the directory that the server itself told of. Azure has nothing of the kind.
- `backupType` in a policy, or in `backupRuleOptions.strongroom` of a backup on demand: `Full` is
  the best that the server allows (its files, of which only what has changed is stored; dumps where
  it grants no replication, and job and point say why), `Physical` and `Logical` are that kind and
  no other. `backupRuleOptions.strongroom.full` reads everything anew.
- `startLtrBackup` dumps a server as it is now, protected or not, into a container by its SAS: the
  files of a restore as files, `backupName` before each name. Where a vault protects the server, it
  shows the job too. `numberOfContainers` is 1, and `sasUriList` names one.
- `exportBackupJobs`: the newest ten thousand jobs (`$filter` takes status and operation), at
  `blobUrl` as JSON and at `excelFileBlobUrl` as CSV, by a SAS of an hour; they go the day after.
- `AzureBackupRecoveryTimeBasedRestoreRequest` restores a moment, where a server's log is kept:
  `findRestorableTimeRanges` tells between which times. The window is a rule of the policy: an
  `AzureRetentionRule` for `OperationalStore`, in days. `createMode: PointInTimeRestore` of a
  flexible server (202, then polled) makes a new one, beside its source and on a port of its own:
  `properties.strongroom` may name `targetDirectory`, `port` and `tablespaces`.
- Restore as files (`RestoreFilesTargetInfo`) into a container: `targetDetails.url` with its SAS
  (read, create, write), which is kept sealed until the job ends; `filePrefix` begins every name. A
  manifest with digests and a `RESTORE.md` lie beside the files. `url` may be `s3://bucket/prefix`,
  with the agent's own credentials and `strongroom.endpoint`, or `file:///directory`. A container
  of the installation's own store needs no SAS once the vault's identity has `Storage Blob Data
  Contributor` there; else `UserErrorMSIMissingPermissions` names role, scope and command.
  `strongroom.part` takes one `database`, or one `table` of it.
- `validateRestore` of files has the server's agent look into their container, or bucket: what is
  not there, does not open or cannot be written to is `UserErrorContainerNotAccessible`, a name
  that is taken (`FailIfExists`) `BMSUserErrorInvalidInput` with `TargetNotEmpty` within. Nothing
  is left there. A directory that is not empty, or that the agent does not restore into, is refused
  alike. Where no agent answers within ten seconds, what could be examined is the answer.
- Restore of one item (`ItemLevelRestoreTargetInfo`) into a running server, `datasourceInfo`: one
  `ItemPathBasedRestoreCriteria` whose `itemPath` is `database` or `database/schema.table`, and
  `renameTo` if it shall have another name there.
- Load a logical point into a running server (`RestoreTargetInfo`): `datasourceInfo.resourceID` is
  that server, as `az ... restore initialize-for-data-recovery` has it, and all databases go there;
  or `restoreTargetInfo.strongroom.load` names `targetServer`, `databases` (name in the point to
  name there; none: all) and `withRoles`.
- Azure Resource Graph (`POST /providers/Microsoft.ResourceGraph/resources`), which `az` asks for
  `list-from-resourcegraph` and for `--use-secondary-region`: the tables `resources` (vaults) and
  `recoveryservicesresources` (instances, and jobs of fourteen days, the newest ten thousand), of
  all that the caller may list, through `where`, `extend` and `project`. `replicatedRegions` of a
  vault is the second copy's.
- `immutabilitySettings` of a vault: `Unlocked` and `Locked` are enforced by the storage endpoint,
  `Locked` for ever. A point that is over leaves by itself, the last good one of a server never.
- Soft delete: a vault that was never told has it `On`, for fourteen days; with `Off` a deletion is
  final at once. While an instance is soft-deleted its points do not end by age, and protecting its
  server again in the same vault adopts it, whatever the new name: points and keys are kept. In an
  immutable vault, or under a legal hold, what has not ended cannot be deleted (409).
- `DELETE` of a recovery point, which Azure has not: it is soft-deleted, listed beneath
  `deletedRecoveryPoints` of its instance, and `undelete` there has it back.
- `legalHolds` of a backup instance: each holds the instance with all points that it will have, or
  one `recoveryPointId`; it is in the storage endpoint's own book before the operation ends. What
  is held neither ends by age nor can be deleted; `metaData.legalHolds` of a point names them.
- A policy may be changed while it protects: `policyInfo.policyVersion` counts, `versions` of the
  policy lists what it has said, points that exist keep what they were promised. `applyToPoints`
  (`dryRun`) gives them the ends that the policy names now, never sooner than a lock or a hold.
- `preview` of a policy, there or sent as `properties`: the backups of `years` from `from` on, and
  with `on` every point that exists as that day ends, with why.
- `properties.strongroom.startWithin` of a policy spreads starts over so many minutes;
  `properties.strongroom` of a vault bounds `backupsPerAgent` and `backupsPerVault`.
- What is wrong with a policy is told with the path of its field as the error's `target`.
- `collectGarbage` on a backup instance (`dryRun`, `graceDays`) deletes what no point needs; the
  numbers are in the job's `additionalDetails`. `metaData.damaged` of a point names what the scrub
  of the storage endpoint found damaged.
- `verify` on a recovery point reads every byte of it; `metaData.verifiedAt` is when that last went
  well, and damage fails the job by name.
- `drill` on a recovery point (`assertions`: a list of `name`, `query`, `database`) restores it
  into a throw-away server and tries it; `drills` of a point or an instance lists what was found,
  and `metaData.drill` has the last verdict, when, how long a restore took, and the name of the
  signed evidence. `properties.strongroom.settings.drillDays` of an instance is how often;
  `lastDrill` and `drillLate` are beside it.
- `properties.strongroom.expiryHeld` of an instance says since when and why no point older than one
  that looks wrong (`metaData.anomalies`) or failed its drill expires; `releaseExpiry` ends that.
- `cancel` on a job that is under way, which Azure has not for these jobs: its agent learns it with
  its next heartbeat, may write to storage no more, and the job is `Cancelled`. Safe twice; 409
  when the job has ended, or is being committed. `supportedActions` of such a job says `Cancel`.
- `storageFindings` of a backup instance: receipts in quarantine, damaged objects, what stops the
  collection of garbage.
- `properties.strongroom.settings` of a backup instance: `bandwidth` (bytes a second into storage),
  `compressionLevel`, `parallelism`, `window`. A `PUT` that says nothing of them leaves them alone.
  Beside them: `nextBackup`, and while the window holds a backup `heldSince`, `missedWindow`.
- `keys` of a vault: the pairs of each instance, and who keeps what opens them. `rotateKeys`,
  `checkKeys` of an instance, `rotateKeyEncryptionKey`, `replaceRecoveryKey` (`publicKey`) are
  operations; what a census of keys finds is among `storageFindings`. `shredCertificates`: what was
  destroyed at a purge, signed.
- Resource guards protect what Azure's do, and less retention, resuming where points are past
  their time, deletion of a recovery point, release of a legal hold or of held expiry, another
  recovery key, less protection by the guard itself, and who may approve. A protected call is let
  through by `x-ms-authorization-auxiliary`, the token of *another* principal who is Backup MUA
  Operator at the guard, while a body names the request in `resourceGuardOperationRequests`; or by
  an approval of exactly this, which somebody has granted: the refusal (403
  `UserErrorMultiUserAuthorizationRequired`) names the request that waits, and `approvals` lists,
  grants and denies. It is good once, and for hours. `allowAutoApprovals` is false: the role
  alone, in the caller's own hands, lets nothing through. `properties.strongroom` of a guard has
  `approvalDelayHours`, 0 to 72: an approval is good so much later, `goodFrom`, and until it is
  used `withdraw` takes it back; a restore does not wait. A vault goes under a guard only while
  somebody else may approve there.
- `auditRecords` is the audit with before and after: of a `who`, `what`, `scope`, `since`, `until`
  or `outcome` (done, refused, failed) alone where the query names them, the newest first with
  `newest=true`. `auditRecords/verify` says whether it is whole.
- `DELETE` of a resource group takes vaults, guards, servers and roles in it along, or nothing: a
  vault that may not be deleted, backups that are soft-deleted, or a server that a backup instance
  needs, keep it (409 `ResourceGroupDeletionBlocked`, whose `details` name each). Vaults of it are
  soft-deleted as ever: with the group made anew they can be had back.
- `servicePrincipals` adds principals, in place of Microsoft's directory.
- The second region is a second endpoint that pulls, `LOCATION2`: `fetchSecondaryRecoveryPoints`
  are the points that are whole there, `crossRegionRestore` takes what `restore` takes and reads
  that copy alone. As in Azure the vault must be GeoRedundant and have
  `crossRegionRestoreSettings` Enabled, for good. `secondCopy` of a vault is how far behind it is.
- Servers are registered by `PUT`: `properties.strongroom` names `agent` and `agentServer`.

## Where it is more lenient, or stricter

- Any `location` is taken and given back as it was written: an installation is one place. A vault,
  a guard and a resource group without one are 400 `LocationRequired`, a vault with another than
  it has is 409 `InvalidResourceLocation`; a server may come without.
- A `$filter` that a list does not read is refused (400) and never ignored: the answer would hold
  what was not asked for.
- Lists come a hundred a page, or `$top` where Azure has it (groups, resources). What comes or goes
  meanwhile moves nothing else; a `$skipToken` that is no place in this list is 400. Lists of the
  second region are asked for by POST, their next pages as Azure's clients do it: with GET and no
  body. `sourceRegion` may be left out; where it is not the vault's region it is 400.
- `validateForModifyBackup` asks for all that `validateForBackup` does, the server's being ready
  among it; the change itself may be made while the server is down.
- `sourceDataStoreType` is `VaultStore`, or for a moment `OperationalStore`, too; a restore from
  another is 400 `BMSUserErrorInvalidInput`, and there are no ranges in another. So is a
  `sourceResourceId` that is not the server of the backup instance.
- A retention may be any whole number of days, weeks, months and years up to ten years, shorter
  than Azure allows too.
- `checkFeatureSupport` says `NotSupported` of a feature that nobody knows, and of none.

## Not offered

Asked for, these are refused in ARM's form: 404 or 405, or 400 that names the setting.

- Cross-subscription restore (the setting is kept, and off for good when it is PermanentlyDisabled;
  there is no other subscription), rehydration (400
  `UserErrorRehydrationNotSupported`), archive tier, several items in one restore, Azure Files.
  Files without a SAS go into containers of the installation's own store alone.
- `get_user_delegation_key` at the storage endpoint, which trusts no token of the control plane's:
  400 `InvalidAuthenticationInfo`, and 403 `AuthenticationFailed` for a SAS made with such a key. A
  container there needs none: the vault's identity opens it by its role. A restore that names one
  is refused at once, and told so; a container in Azure may come with a user-delegation SAS.
- Of Azure Resource Graph what is not above: other tables, `summarize`, `join`, facets, management
  groups: 400 `InvalidQuery`, or `BMSUserErrorInvalidInput`. Microsoft Graph.
- The managed identity of a virtual machine (IMDS, `AZURE_POD_IDENTITY_AUTHORITY_HOST`). Its
  client shows nothing but a header that everybody knows: in Azure the hypervisor tells which
  machine asks, and here nothing could. Whoever reached the address, each process and each user of
  a host, would be the principal. The way here is App Service's: `IDENTITY_ENDPOINT` is
  `/msi/token`, https or on loopback http, and `IDENTITY_HEADER` `CLIENT_ID:SECRET` of a principal.
- Guards of other tenants, customer-managed keys, user-assigned identities.
- A purge before its time. A legal hold on what is deleted: have it back, then hold it. Protecting
  a soft-deleted server in another vault.
- Conditions on role assignments, deny assignments, management groups.

## Roles

| role | id |
|---|---|
"""

OPERATIONS = """
## Operations

`S` is `/subscriptions/{subscription_id}`, `RG` is `S/resourceGroups/{group}`, `V` is
`RG/providers/Microsoft.DataProtection/backupVaults/{vault}`. Each checks its action.

| request | SDK for Python | action | |
|---|---|---|---|
"""


def page() -> str:
    roles = "".join(f"| {role.name} | `{role.id}` |\n" for role in BUILT_IN.values())
    return HEAD + roles + OPERATIONS + "".join(f"{row}\n" for row in _rows())


def _rows() -> list[str]:
    found = []
    for module in ROUTERS:
        for route in module.router.routes:
            words = (route.endpoint.__doc__ or "").strip().split("\n")[0]
            method = sorted(route.methods)[0]
            action = route.openapi_extra[ACTION]
            sdk = f"`{SDK[route.name]}`" if route.name in SDK else ""
            found.append((_short(route.path), f"| {sdk} | {action} | {words} |", method))
    return [f"| `{method} {path}` {rest}" for path, rest, method in sorted(found)]


def _short(path: str) -> str:
    for long, short in SHORT:
        path = path.replace(long, short)
    return (
        path.replace(":path}", "}")
        .replace("/{scope}", "{scope}")
        .replace("/{resource}", "{resource}")
    )
