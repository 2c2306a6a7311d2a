"""The clients that a user of Azure has, pointed at a house of ours, and their everyday calls."""

import uuid
from pathlib import Path
from typing import Any

import psycopg
from azure.core.rest import HttpRequest
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.models import RoleAssignmentCreateParameters
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.dataprotection import models as m
from azure.mgmt.resource.resources import ResourceManagementClient

from journey.world import EVERY, House, Postgres, until

SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"
LTR = "c088a766-074b-43ba-90d4-1fb21feae531"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


class Cloud:
    """The clients that a user of Azure has, pointed at this house, or at one door of it."""

    def __init__(self, house: House, arm: str = "") -> None:
        found = house.connection | ({"arm": arm} if arm else {})
        self.found = found
        self.group = "rg1"
        self.vault = "vault1"
        common = {"connection_verify": found["ca"]}
        self.credential = ClientSecretCredential(
            found["tenant"],
            found["clientId"],
            found["clientSecret"],
            authority=found["arm"],
            disable_instance_discovery=True,
            **common,
        )
        options = self.options = {
            "base_url": found["arm"],
            "credential_scopes": [found["arm"] + "/.default"],
            "polling_interval": 1,
            **common,
        }
        subscription = found["subscription"]
        self.backup = DataProtectionMgmtClient(self.credential, subscription, **options)
        self.roles = AuthorizationManagementClient(self.credential, subscription, **options)
        self.resources = ResourceManagementClient(self.credential, subscription, **options)

    def scope(self, server: str = "") -> str:
        home = f"/subscriptions/{self.found['subscription']}/resourceGroups/{self.group}"
        return f"{home}/providers/{SERVER}/{server}" if server else home

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the SDK has no method for: ours, in ARM's form."""
        request = HttpRequest(method, path, params={"api-version": "2026-06-01"}, json=body)
        answer = self.backup.send_request(request)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def assign(self, scope: str, role: str, principal: str) -> None:
        definition = f"/subscriptions/{self.found['subscription']}/providers"
        definition += f"/Microsoft.Authorization/roleDefinitions/{role}"
        self.roles.role_assignments.create(
            scope,
            str(uuid.uuid4()),
            RoleAssignmentCreateParameters(
                role_definition_id=definition,
                principal_id=principal,
                principal_type="ServicePrincipal",
            ),
        )

    def make_vault(self) -> m.BackupVaultResource:
        store = m.StorageSetting(datastore_type="VaultStore", type="LocallyRedundant")
        return self.backup.backup_vaults.begin_create_or_update(
            self.group,
            self.vault,
            m.BackupVaultResource(
                location="local",
                identity=m.DppIdentityDetails(type="SystemAssigned"),
                properties=m.BackupVault(storage_settings=[store]),
            ),
        ).result()

    def back_up(self, instance: str) -> m.OperationJobExtendedInfo:
        options = m.AdHocBackupRuleOptions(
            rule_name="BackupWeekly",
            trigger_option=m.AdhocBackupTriggerOption(retention_tag_override="Default"),
        )
        return self.backup.backup_instances.begin_adhoc_backup(
            self.group,
            self.vault,
            instance,
            m.TriggerBackupRequest(backup_rule_options=options),
        ).result()

    def back_up_all(self, instance: str) -> m.OperationJobExtendedInfo:
        """A full backup, where an increment would do: our own word beside Azure's."""
        options = {"ruleName": "BackupWeekly", "strongroom": {"full": True}}
        return self.backup.backup_instances.begin_adhoc_backup(
            self.group, self.vault, instance, {"backupRuleOptions": options}
        ).result()

    def restore(
        self, instance: str, request: m.AzureBackupRecoveryPointBasedRestoreRequest
    ) -> m.OperationJobExtendedInfo:
        return self.backup.backup_instances.begin_trigger_restore(
            self.group, self.vault, instance, request
        ).result()

    def job(self, job_id: str) -> m.AzureBackupJobResource:
        return self.backup.jobs.get(self.group, self.vault, job_id)

    def running(self, operation: m.OperationJobExtendedInfo) -> bool:
        """Whether the job of an operation is under way."""
        return self.job(operation.job_id.split("/")[-1]).properties.status == "InProgress"

    def points(self, instance: str) -> list[m.AzureBackupRecoveryPointResource]:
        return list(self.backup.recovery_points.list(self.group, self.vault, instance))


def default_template() -> m.BaseBackupPolicyResource:
    store = m.DataStoreInfoBase(data_store_type="VaultStore", object_type="DataStoreInfoBase")
    schedule = m.BackupSchedule(
        repeating_time_intervals=["R/2021-08-15T06:30:00+00:00/P1W"], time_zone="UTC"
    )
    tagging = m.TaggingCriteria(
        is_default=True, tagging_priority=99, tag_info=m.RetentionTag(tag_name="Default")
    )
    trigger = m.ScheduleBasedTriggerContext(schedule=schedule, tagging_criteria=[tagging])
    backup = m.AzureBackupRule(
        name="BackupWeekly",
        backup_parameters=m.AzureBackupParams(backup_type="Full"),
        data_store=store,
        trigger=trigger,
    )
    lifecycle = m.SourceLifeCycle(
        delete_after=m.AbsoluteDeleteOption(duration="P3M"), source_data_store=store
    )
    keep = m.AzureRetentionRule(name="Default", is_default=True, lifecycles=[lifecycle])
    policy = m.BackupPolicy(datasource_types=[SERVER], policy_rules=[backup, keep])
    return m.BaseBackupPolicyResource(properties=policy)


def protected(cloud: Cloud, server: str) -> m.BackupInstance:
    server_id = cloud.scope(server)
    vault_id = f"{cloud.scope()}/providers/Microsoft.DataProtection/backupVaults/{cloud.vault}"
    return m.BackupInstance(
        friendly_name=server,
        object_type="BackupInstance",
        data_source_info=m.Datasource(
            object_type="Datasource",
            datasource_type=SERVER,
            resource_id=server_id,
            resource_name=server,
            resource_type=SERVER,
            resource_location="local",
            resource_uri="",
        ),
        policy_info=m.PolicyInfo(policy_id=f"{vault_id}/backupPolicies/pol"),
    )


def fill(postgres: Postgres) -> tuple[int, int]:
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(
            "create table entries as select g as id, md5(g::text) as words "
            "from generate_series(1, 300000) g"
        )
    return digest(postgres.conninfo)


def digest(conninfo: str) -> tuple[int, int]:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("select count(*), sum(hashtext(words)) from entries").fetchone()
    assert row is not None
    return row[0], row[1]


def restore_request(
    cloud: Cloud, point: str, directory: Path | str
) -> m.AzureBackupRecoveryPointBasedRestoreRequest:
    source = m.Datasource(
        datasource_type=SERVER,
        resource_id=cloud.scope("pg1"),
        resource_uri=f"file://{directory}",
    )
    target = m.RestoreTargetInfo(
        recovery_option="FailIfExists", restore_location="local", datasource_info=source
    )
    return a_request(point, target)


def a_request(
    point: str, target: m.RestoreTargetInfoBase
) -> m.AzureBackupRecoveryPointBasedRestoreRequest:
    """To any kind of target."""
    return m.AzureBackupRecoveryPointBasedRestoreRequest(
        recovery_point_id=point,
        source_data_store_type="VaultStore",
        restore_target_info=target,
    )


def validate(cloud: Cloud, wish: m.AzureBackupRecoveryPointBasedRestoreRequest) -> None:
    """Could it begin now?"""
    cloud.backup.backup_instances.begin_validate_for_restore(
        cloud.group,
        cloud.vault,
        "pg1-inst",
        m.ValidateRestoreRequestObject(restore_request_object=wish),
    ).result()


def ended_job(
    cloud: Cloud,
    operation: m.OperationJobExtendedInfo,
    patience: float = 120,
    every: float = EVERY,
) -> m.AzureBackupJobResource:
    job_id = operation.job_id.split("/")[-1]

    def look() -> m.AzureBackupJobResource | None:
        job = cloud.job(job_id)
        return None if job.properties.status == "InProgress" else job

    return until("the job to end", look, patience, every)


def protect(cloud: Cloud, house: House, name: str, conninfo: str, source: str = "auto") -> None:
    """Everything up to a protected server, without looking twice."""
    cloud.resources.resource_groups.create_or_update(cloud.group, {"location": "local"})
    vault = cloud.make_vault()
    cloud.backup.backup_policies.create_or_update(
        cloud.group, cloud.vault, "pol", default_template()
    )
    cloud.assign(cloud.scope(), READER, vault.identity.principal_id)
    protect_also(cloud, house, name, conninfo, source)


def protect_also(
    cloud: Cloud, house: House, name: str, conninfo: str, source: str = "auto"
) -> None:
    """One more server in a vault that is there."""
    house.add_server(name, conninfo, source)
    put_server(cloud, name)
    vault = cloud.backup.backup_vaults.get(cloud.group, cloud.vault)
    cloud.assign(cloud.scope(name), LTR, vault.identity.principal_id)
    until("the agent to see the server", lambda: is_ready(cloud, name))
    cloud.backup.backup_instances.begin_create_or_update(
        cloud.group,
        cloud.vault,
        f"{name}-inst",
        m.BackupInstanceResource(properties=protected(cloud, name)),
    ).result()


def put_server(cloud: Cloud, name: str) -> None:
    body = {"location": "local", "properties": {"strongroom": {"agentServer": name}}}
    cloud.resources.resources.begin_create_or_update_by_id(
        cloud.scope(name), body, api_version="2026-10-01"
    ).result()


def is_ready(cloud: Cloud, name: str) -> bool:
    found = cloud.resources.resources.get_by_id(cloud.scope(name), api_version="2026-10-01")
    return found.properties["state"] == "Ready"
