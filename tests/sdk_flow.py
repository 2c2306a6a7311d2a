"""The everyday calls of Azure's SDK, whichever version of it this process finds.

Run with "sync" or "async": JSON of what came of each call goes out.
"""

import asyncio
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import azure.identity
import azure.identity.aio
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.dataprotection import DataProtectionMgmtClient, aio
from azure.mgmt.dataprotection import models as m

URL, CA = os.environ["ARM_URL"], os.environ["REQUESTS_CA_BUNDLE"]
TENANT, SUBSCRIPTION = os.environ["AZURE_TENANT_ID"], os.environ["ARM_SUBSCRIPTION_ID"]
GROUP, SERVER = os.environ["GROUP"], os.environ["SERVER"]
VAULT, POLICY = f"vault-of-{SERVER}", "weekly"
KIND = "Microsoft.DBforPostgreSQL/flexibleServers"
HOME = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
VAULT_ID = f"{HOME}/providers/Microsoft.DataProtection/backupVaults/{VAULT}"
# The calls of a flow, and what each gave: a flow does not know how it is run.
Call = tuple[str, str, tuple[Any, ...]]
Flow = Generator[Call, Any, dict[str, Any]]


def vault() -> m.BackupVaultResource:
    store = m.StorageSetting(datastore_type="VaultStore", type="LocallyRedundant")
    return m.BackupVaultResource(
        location="local",
        identity=m.DppIdentityDetails(type="SystemAssigned"),
        properties=m.BackupVault(storage_settings=[store]),
    )


def policy() -> m.BaseBackupPolicyResource:
    store = m.DataStoreInfoBase(data_store_type="VaultStore", object_type="DataStoreInfoBase")
    schedule = m.BackupSchedule(
        repeating_time_intervals=["R/2021-08-15T06:30:00+00:00/P1W"], time_zone="UTC"
    )
    tagging = m.TaggingCriteria(
        is_default=True, tagging_priority=99, tag_info=m.RetentionTag(tag_name="Default")
    )
    rules = [
        m.AzureBackupRule(
            name="BackupWeekly",
            backup_parameters=m.AzureBackupParams(backup_type="Full"),
            data_store=store,
            trigger=m.ScheduleBasedTriggerContext(schedule=schedule, tagging_criteria=[tagging]),
        ),
        m.AzureRetentionRule(
            name="Default",
            is_default=True,
            lifecycles=[
                m.SourceLifeCycle(
                    delete_after=m.AbsoluteDeleteOption(duration="P3M"), source_data_store=store
                )
            ],
        ),
    ]
    return m.BaseBackupPolicyResource(
        properties=m.BackupPolicy(datasource_types=[KIND], policy_rules=rules)
    )


def instance() -> m.BackupInstance:
    server = f"{HOME}/providers/{KIND}/{SERVER}"
    return m.BackupInstance(
        friendly_name=SERVER,
        object_type="BackupInstance",
        data_source_info=m.Datasource(
            object_type="Datasource",
            datasource_type=KIND,
            resource_id=server,
            resource_name=SERVER,
            resource_type=KIND,
            resource_location="local",
            resource_uri="",
        ),
        policy_info=m.PolicyInfo(policy_id=f"{VAULT_ID}/backupPolicies/{POLICY}"),
    )


def restore(point: str) -> m.AzureBackupRecoveryPointBasedRestoreRequest:
    details = m.TargetDetails(
        file_prefix="p",
        restore_target_location_type="AzureBlobs",
        url="https://acct.blob.example/files?sp=rcw&sig=x",
    )
    target = m.RestoreFilesTargetInfo(
        recovery_option="FailIfExists", restore_location="local", target_details=details
    )
    return m.AzureBackupRecoveryPointBasedRestoreRequest(
        recovery_point_id=point, source_data_store_type="VaultStore", restore_target_info=target
    )


def assign(principal: str) -> None:
    """The two roles that a vault's identity needs; Azure's client for roles has one version."""
    credential = azure.identity.EnvironmentCredential(
        authority=URL, disable_instance_discovery=True
    )
    with AuthorizationManagementClient(credential, SUBSCRIPTION, base_url=URL) as roles:
        for number, name in enumerate(
            ("Reader", "PostgreSQL Flexible Server Long Term Retention Backup Role")
        ):
            role = next(iter(roles.role_definitions.list(HOME, filter=f"roleName eq '{name}'")))
            body = {"properties": {"roleDefinitionId": role.id, "principalId": principal}}
            roles.role_assignments.create(HOME, f"{principal[:-1]}{number}", body)
    credential.close()


def flow() -> Flow:
    here, told = (GROUP, VAULT), {}
    made = yield "backup_vaults", "begin_create_or_update", (*here, vault())
    told["vault"] = made.properties.provisioning_state
    kept = yield "backup_policies", "create_or_update", (*here, POLICY, policy())
    told["rules"] = [rule.name for rule in kept.properties.policy_rules]
    told["intervals"] = kept.properties.policy_rules[0].trigger.schedule.repeating_time_intervals
    asked = m.ValidateForBackupRequest(backup_instance=instance())
    refused = yield "backup_instances", "begin_validate_for_backup", (*here, asked)
    told["refused"] = refused.error.code
    assign(made.identity.principal_id)
    done = yield "backup_instances", "begin_validate_for_backup", (*here, asked)
    told["validated"] = type(done).__name__
    one, wish = (*here, "one"), m.BackupInstanceResource(properties=instance())
    protected = yield "backup_instances", "begin_create_or_update", (*one, wish)
    told["state"] = protected.properties.current_protection_state
    told["listed"] = [found.name for found in (yield "backup_instances", "list", here)]
    options = m.AdHocBackupRuleOptions(
        rule_name="BackupWeekly",
        trigger_option=m.AdhocBackupTriggerOption(retention_tag_override="Default"),
    )
    begun = m.TriggerBackupRequest(backup_rule_options=options)
    job_id = (yield "backup_instances", "begin_adhoc_backup", (*one, begun)).job_id
    job = yield "jobs", "get", (*here, job_id.rpartition("/")[2])
    told["job"] = (job.properties.operation, job.properties.status, job.id == job_id)
    told["jobs"] = len((yield "jobs", "list", here))
    told |= yield from _restored()
    told |= yield from _stopped_and_back(one)
    return told


def _restored() -> Flow:
    """Of the instance that has a point already."""
    there = (GROUP, "v1", "pg1-inst")
    points = yield "recovery_points", "list", there
    point = yield "recovery_points", "get", (*there, points[0].name)
    wish = restore(point.name)
    asked = m.ValidateRestoreRequestObject(restore_request_object=wish)
    yield "backup_instances", "begin_validate_for_restore", (*there, asked)
    job_id = (yield "backup_instances", "begin_trigger_restore", (*there, wish)).job_id
    job = yield "jobs", "get", (GROUP, "v1", job_id.rpartition("/")[2])
    kind = type(point.properties).__name__
    return {"point": kind, "restore": (job.properties.operation, job.properties.status)}


def _stopped_and_back(one: tuple[str, str, str]) -> Flow:
    states = []
    for verb in ("stop_protection", "resume_protection", "suspend_backups", "resume_backups"):
        yield "backup_instances", f"begin_{verb}", one
        found = yield "backup_instances", "get", one
        states.append(found.properties.current_protection_state)
    yield "backup_instances", "begin_delete", one
    gone = yield "backup_instances", "get", one
    deleted = yield "deleted_backup_instances", "list", one[:2]
    yield "deleted_backup_instances", "begin_undelete", one
    back = yield "backup_instances", "get", one
    return {
        "states": states,
        "gone": gone.status_code,
        "deleted": [found.properties.current_protection_state for found in deleted],
        "back": back.properties.current_protection_state,
    }


def run(find: Callable[[str, str], Any]) -> dict[str, Any]:
    asked, given = flow(), None
    while True:
        try:
            group, method, args = asked.send(given)
        except StopIteration as end:
            return dict(end.value)
        try:
            given = find(group, method)(*args)
            given = given.result() if hasattr(given, "result") else given
            given = list(given) if hasattr(given, "by_page") else given
        except HttpResponseError as error:
            given = error


async def run_async(find: Callable[[str, str], Any]) -> dict[str, Any]:
    asked, given = flow(), None
    while True:
        try:
            group, method, args = asked.send(given)
        except StopIteration as end:
            return dict(end.value)
        try:
            given = find(group, method)(*args)
            given = await given if inspect.isawaitable(given) else given
            given = await given.result() if hasattr(given, "result") else given
            given = [each async for each in given] if hasattr(given, "by_page") else given
        except HttpResponseError as error:
            given = error


def options() -> dict[str, Any]:
    return {"base_url": URL, "credential_scopes": [f"{URL}/.default"], "connection_verify": CA}


@asynccontextmanager
async def async_client() -> AsyncIterator[Any]:
    """Signed in."""
    async with (
        azure.identity.aio.EnvironmentCredential(
            authority=URL, disable_instance_discovery=True, transport=AsyncioRequestsTransport()
        ) as credential,
        aio.DataProtectionMgmtClient(
            credential, SUBSCRIPTION, transport=AsyncioRequestsTransport(), **options()
        ) as client,
    ):
        yield client


@contextmanager
def sync_client() -> Iterator[Any]:
    """Signed in."""
    with (
        azure.identity.EnvironmentCredential(
            authority=URL, disable_instance_discovery=True
        ) as credential,
        DataProtectionMgmtClient(credential, SUBSCRIPTION, **options()) as client,
    ):
        yield client


async def main_async() -> dict[str, Any]:
    async with async_client() as client:
        return await run_async(lambda group, method: getattr(getattr(client, group), method))


def main() -> dict[str, Any]:
    with sync_client() as client:
        return run(lambda group, method: getattr(getattr(client, group), method))


if __name__ == "__main__":
    found = asyncio.run(main_async()) if sys.argv[1] == "async" else main()
    from azure.mgmt.dataprotection._version import VERSION

    print(json.dumps({"version": VERSION, **found}))
