"""Azure's own clients, unmodified, and what of theirs no backup needs every day."""

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.dataprotection import models as m
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient
from azure.mgmt.postgresqlflexibleservers import models as pg

from arm_story import GUIDS, Story, add_point, assignment_body, assignment_id, instance_body
from arm_world import DATASOURCE, GROUP, VERSION, ArmWorld, server_id
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import servers as registered
from strongroom.catalog.tables.tables import instances
from strongroom.catalog.work import jobs
from strongroom.model.errors import Conflict, Corrupt
from strongroom.model.identities.access import LONG_TERM_RETENTION
from strongroom.model.work.job import JobStatus

HERE = (GROUP, "v1", "pg1-inst")


@pytest.fixture(scope="module")
def client(world: ArmWorld, story: Story) -> Iterator[DataProtectionMgmtClient]:
    with world.backup() as found:
        yield found


def test_every_action_of_the_provider_is_listed(client: DataProtectionMgmtClient) -> None:
    names = {found.name for found in client.data_protection_operations.list()}
    assert "Microsoft.DataProtection/backupVaults/backupInstances/restore/action" in names
    assert "Microsoft.DataProtection/backupVaults/write" in names
    assert all(name.startswith("Microsoft.DataProtection/") for name in names)


@pytest.mark.parametrize(
    ("name", "status"),
    [(DATASOURCE, "GenerallyAvailable"), ("Microsoft.Compute/disks", "NotSupported")],
)
def test_a_kind_of_data_source_is_offered_or_it_is_not(
    client: DataProtectionMgmtClient, name: str, status: str
) -> None:
    asked = m.FeatureValidationRequest(feature_name=name, feature_type="DataSourceType")
    told = client.data_protection.check_feature_support("local", asked)
    assert isinstance(told, m.FeatureValidationResponse)
    assert [(f.feature_name, f.support_status) for f in told.features] == [(name, status)]


def test_from_a_server_to_what_protects_it(client: DataProtectionMgmtClient) -> None:
    routed = list(client.backup_instances_extension_routing.list(server_id()[1:]))
    assert [found.name for found in routed] == ["pg1-inst"]
    shouted = server_id().upper().replace("PG1", "pg1")[1:]
    assert [f.id for f in client.backup_instances_extension_routing.list(shouted)] == [
        routed[0].id
    ]
    assert list(client.backup_instances_extension_routing.list(server_id("pg9")[1:])) == []


def test_there_is_no_range_without_a_log(client: DataProtectionMgmtClient) -> None:
    asked = m.AzureBackupFindRestorableTimeRangesRequest(
        source_data_store_type="VaultStore", start_time="2026-01-01T00:00:00.0000000Z"
    )
    told = client.restorable_time_ranges.find(*HERE, asked)
    assert told.properties.restorable_time_ranges == []
    asked.source_data_store_type = "ArchiveStore"
    told = client.restorable_time_ranges.find(*HERE, asked)
    assert told.properties.restorable_time_ranges == []
    asked.source_data_store_type = "Cellar"
    with pytest.raises(HttpResponseError, match="is no sourceDataStoreType"):
        client.restorable_time_ranges.find(*HERE, asked)


def test_a_change_is_tried_before_it_is_made(
    client: DataProtectionMgmtClient, story: Story
) -> None:
    def asked(policy: str) -> m.ValidateForModifyBackupRequest:
        told = m.BackupInstance(instance_body(policy=policy))
        return m.ValidateForModifyBackupRequest(backup_instance=told)

    client.backup_instances.begin_validate_for_modify_backup(*HERE, asked("spare")).result()
    with pytest.raises(HttpResponseError, match="nowhere"):
        client.backup_instances.begin_validate_for_modify_backup(*HERE, asked("nowhere")).result()
    now = client.backup_instances.get(*HERE).properties.policy_info.policy_id
    assert now.endswith("/pgflex")


def test_a_change_is_tried_as_a_server_is_before_it_is_protected(
    client: DataProtectionMgmtClient, world: ArmWorld, story: Story
) -> None:
    told = m.BackupInstance(instance_body())
    asked = m.ValidateForModifyBackupRequest(backup_instance=told)
    role = assignment_id(server_id(), GUIDS[0])

    def refusal() -> str:
        with pytest.raises(HttpResponseError) as refused:
            client.backup_instances.begin_validate_for_modify_backup(*HERE, asked).result()
        return str(refused.value.error.code)

    world.agent_says(story.agent, "main", ready=False)
    assert refusal() == "PostgreSQLFlexOperationFailedUserError"
    world.agent_says(story.agent, "main")
    story.http.delete(role, params=VERSION)
    assert refusal() == "UserErrorMissingRequiredPermissions"
    story.put(role, assignment_body(LONG_TERM_RETENTION.id, story.identity))
    client.backup_instances.begin_validate_for_modify_backup(*HERE, asked).result()


@pytest.mark.parametrize(
    ("member", "odd"),
    [("objectType", "Policy"), ("datasourceType", "Microsoft.Compute/disks")],
)
def test_what_else_azure_backup_protects_is_refused(
    client: DataProtectionMgmtClient, member: str, odd: str
) -> None:
    def asked(kind: str) -> m.ValidateForModifyBackupRequest:
        body = instance_body()
        (body if member == "objectType" else body["dataSourceInfo"])[member] = kind
        return m.ValidateForModifyBackupRequest(backup_instance=m.BackupInstance(body))

    validate = client.backup_instances.begin_validate_for_modify_backup
    with pytest.raises(HttpResponseError, match=f"{member} '{odd}' is not offered") as refused:
        validate(*HERE, asked(odd)).result()
    assert refused.value.error.code == "BMSUserErrorInvalidInput"
    validate(*HERE, asked("")).result()  # as Terraform has it


def test_a_sync_mends_protection_that_has_failed_and_leaves_the_rest_alone(
    client: DataProtectionMgmtClient, world: ArmWorld
) -> None:
    again = m.SyncBackupInstanceRequest(sync_type="Default")
    client.backup_instances.begin_sync_backup_instance(*HERE, again).result()
    with world.database.writing() as connection:
        row = connection.execute(instances.select()).mappings().one()
        why = Conflict("the container is somebody else's").to_dict()
        protection.set_state(connection, row["id"], "ConfiguringProtectionFailed", why)
    assert client.backup_instances.get(*HERE).properties.protection_error_details is not None
    client.backup_instances.begin_sync_backup_instance(*HERE, again).result()
    mended = client.backup_instances.get(*HERE).properties
    assert mended.current_protection_state == "ProtectionConfigured"
    assert mended.protection_error_details is None


def test_nothing_comes_back_from_an_archive(client: DataProtectionMgmtClient) -> None:
    asked = m.AzureBackupRehydrationRequest(
        recovery_point_id="0" * 32, rehydration_retention_duration="P1D"
    )
    with pytest.raises(HttpResponseError) as refused:
        client.backup_instances.begin_trigger_rehydrate(*HERE, asked).result()
    assert refused.value.status_code == 400
    assert refused.value.error.code == "UserErrorRehydrationNotSupported"


# Microsoft.DBforPostgreSQL


@pytest.fixture(scope="module")
def servers(world: ArmWorld, story: Story) -> Iterator[PostgreSQLManagementClient]:
    with world.client(PostgreSQLManagementClient) as found:
        yield found


def a_backup(url: str) -> pg.BackupsLongTermRetentionRequest:
    return pg.BackupsLongTermRetentionRequest(
        backup_settings=pg.BackupSettings(backup_name="b1"),
        target_details=pg.BackupStoreDetails(sas_uri_list=[url]),
    )


def test_servers_are_listed_and_got(servers: PostgreSQLManagementClient) -> None:
    found = servers.servers.get(GROUP, "pg1")
    assert (found.state, found.version, found.storage.storage_size_gb) == ("Ready", "18", 7)
    for listed in (
        servers.servers.list_by_resource_group(GROUP),
        servers.servers.list_by_subscription(),
    ):
        assert [each.name for each in listed] == ["pg1"]


def test_a_long_term_backup_is_a_job_of_the_vault_that_protects(
    servers: PostgreSQLManagementClient, world: ArmWorld
) -> None:
    retention = servers.backups_long_term_retention
    place = "https://acct.blob.example/theirs"
    begun = retention.begin_start(GROUP, "pg1", a_backup(f"{place}?sp=rcw&sig=x"), polling=False)
    assert begun.status() != "Failed"
    shown = retention.get(GROUP, "pg1", "b1")
    assert (shown.status, shown.backup_name) == ("Running", "b1")
    (job,) = world.backup().jobs.list(GROUP, "v1")
    assert job.properties.operation == "LongTermBackup"
    assert "sig=" not in str(job.as_dict())
    with pytest.raises(ResourceNotFoundError):
        retention.get(GROUP, "pg1", "b2")


NO_PLACES = ("", "https://acct.blob.example/theirs", "http://far.example/c?sig=x")


@pytest.mark.parametrize("url", NO_PLACES)
def test_a_container_that_cannot_be_filled_is_refused(
    servers: PostgreSQLManagementClient, url: str
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        servers.backups_long_term_retention.begin_start(GROUP, "pg1", a_backup(url))
    assert refused.value.status_code == 400


def test_a_server_that_nothing_protects_has_long_term_backups_of_its_own(
    servers: PostgreSQLManagementClient, story: Story
) -> None:
    story.put(server_id("lone"), {"properties": {"strongroom": {"agentServer": "lone"}}})
    story.world.agent_says(story.agent, "lone")
    retention = servers.backups_long_term_retention
    place = "https://acct.blob.example/theirs"
    retention.begin_start(GROUP, "lone", a_backup(f"{place}?sp=rcw&sig=x"), polling=False)
    (shown,) = retention.list_by_server(GROUP, "lone")
    assert (shown.name, shown.status) == ("b1", "Running")
    with pytest.raises(ResourceExistsError, match="needed by job"):
        servers.servers.begin_delete(GROUP, "lone")
    with story.world.database.writing() as connection:
        server = registered.find(connection, GROUP, "lone")
        assert server is not None
        (job,) = jobs.list_of_server(connection, server["id"])
        assert (job.vault_id, job.instance_name, job.server_name) == ("", "", "lone")
        jobs.end(connection, job.id, JobStatus.FAILED, story.world.clock.now(), error={})
    servers.servers.begin_delete(GROUP, "lone").result()
    with pytest.raises(ResourceNotFoundError):
        servers.servers.get(GROUP, "lone")


def test_what_a_job_warns_of_is_told_by_its_sub_tasks_and_warnings(
    client: DataProtectionMgmtClient, world: ArmWorld
) -> None:
    options = m.AdHocBackupRuleOptions(
        rule_name="BackupWeekly", trigger_option=m.AdhocBackupTriggerOption()
    )
    asked = m.TriggerBackupRequest(backup_rule_options=options)
    told = client.backup_instances.begin_adhoc_backup(*HERE, asked).result()
    job_id = told.job_id.rpartition("/")[2]
    warned = Corrupt("1 page is damaged: block 2", hint="test the disk").to_dict()
    with world.database.writing() as connection:
        jobs.begin_step(connection, job_id, "Read and store data", world.clock.now())
        status = JobStatus.COMPLETED_WITH_WARNINGS
        jobs.end(connection, job_id, status, world.clock.now(), warnings=[warned])
    found = client.jobs.get(GROUP, "v1", job_id).properties
    assert (found.status, found.error_details) == ("CompletedWithWarnings", None)
    assert found.end_time >= found.start_time
    assert {task.task_status for task in found.extended_info.sub_tasks} == {"Completed"}
    (each,) = found.extended_info.warning_details
    assert isinstance(each.warning, m.UserFacingError)
    assert (each.resource_name, each.warning.message) == ("pg1", "1 page is damaged: block 2")
    assert each.warning.recommended_action == ["test the disk"]
    assert (each.warning.is_retryable, each.warning.inner_error.code) == (False, "Corrupt")


def test_whoever_names_the_source_of_a_restore_gets_no_other(
    client: DataProtectionMgmtClient, world: ArmWorld
) -> None:
    add_point(world, 7, "Full", 1 << 20, {"databases": {}})
    target = m.RestoreTargetInfo({"objectType": "RestoreTargetInfo"})
    target["strongroom"] = {"targetDirectory": "/srv/new"}

    def restore(source: str) -> str:
        asked = m.AzureBackupRecoveryPointBasedRestoreRequest(
            recovery_point_id=f"{7:032x}",
            source_data_store_type="VaultStore",
            source_resource_id=source,
            restore_target_info=target,
        )
        told = client.backup_instances.begin_trigger_restore(*HERE, asked).result()
        return str(told.job_id)

    for odd in (server_id("pg2"), server_id("pg1", "another"), "/x"):
        with pytest.raises(HttpResponseError) as refused:
            restore(odd)
        assert refused.value.error.code == "BMSUserErrorInvalidInput"
    job = client.jobs.get(GROUP, "v1", restore(server_id().upper()).rpartition("/")[2])
    assert (job.properties.operation, job.properties.status) == ("Restore", "InProgress")
    with world.database.writing() as connection:
        jobs.end(connection, job.name, JobStatus.FAILED, world.clock.now(), error={})
