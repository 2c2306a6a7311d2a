"""Azure's own unmodified clients, from an empty installation to a protected server."""

import uuid

import httpx
import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.dataprotection import models as m

from arm_world import DATASOURCE, GROUP, SUBSCRIPTION, ArmWorld, server_id, vault_id

LTR = "PostgreSQL Flexible Server Long Term Retention Backup Role"


def default_policy() -> m.BaseBackupPolicyResource:
    store = m.DataStoreInfoBase(data_store_type="VaultStore", object_type="DataStoreInfoBase")
    return m.BaseBackupPolicyResource(
        properties=m.BackupPolicy(
            datasource_types=[DATASOURCE],
            policy_rules=[
                m.AzureBackupRule(
                    name="BackupWeekly",
                    backup_parameters=m.AzureBackupParams(backup_type="Full"),
                    data_store=store,
                    trigger=m.ScheduleBasedTriggerContext(
                        schedule=m.BackupSchedule(
                            repeating_time_intervals=["R/2021-08-15T06:30:00+00:00/P1W"],
                            time_zone="UTC",
                        ),
                        tagging_criteria=[
                            m.TaggingCriteria(
                                is_default=True,
                                tagging_priority=99,
                                tag_info=m.RetentionTag(tag_name="Default"),
                            )
                        ],
                    ),
                ),
                m.AzureRetentionRule(
                    name="Default",
                    is_default=True,
                    lifecycles=[
                        m.SourceLifeCycle(
                            delete_after=m.AbsoluteDeleteOption(duration="P3M"),
                            source_data_store=store,
                            target_data_store_copy_settings=[],
                        )
                    ],
                ),
            ],
        )
    )


def instance(server: str = "pg1", policy: str = "pgflex") -> m.BackupInstance:
    return m.BackupInstance(
        object_type="BackupInstance",
        friendly_name=server,
        data_source_info=m.Datasource(
            object_type="Datasource",
            datasource_type=DATASOURCE,
            resource_id=server_id(server),
            resource_name=server,
            resource_type=DATASOURCE,
            resource_location="local",
            resource_uri="",
        ),
        policy_info=m.PolicyInfo(policy_id=f"{vault_id()}/backupPolicies/{policy}"),
    )


@pytest.fixture(scope="module")
def vault(world: ArmWorld) -> m.BackupVaultResource:
    world.resources().resource_groups.create_or_update(GROUP, {"location": "local"})
    return (
        world.backup()
        .backup_vaults.begin_create_or_update(
            GROUP,
            "v1",
            m.BackupVaultResource(
                location="local",
                identity=m.DppIdentityDetails(type="SystemAssigned"),
                properties=m.BackupVault(
                    storage_settings=[
                        m.StorageSetting(datastore_type="VaultStore", type="LocallyRedundant")
                    ]
                ),
            ),
        )
        .result()
    )


@pytest.fixture(scope="module")
def server(world: ArmWorld, vault: object) -> str:
    agent = world.agent()
    with world.http() as http:
        body = {"location": "local", "properties": {"strongroom": {"agentServer": "main"}}}
        answer = http.put(server_id(), params={"api-version": "1"}, json=body)
        assert answer.status_code in {200, 201}, answer.text
    world.agent_says(agent, "main")
    return server_id()


@pytest.fixture(scope="module")
def policy(world: ArmWorld, vault: object) -> m.BaseBackupPolicyResource:
    return world.backup().backup_policies.create_or_update(GROUP, "v1", "pgflex", default_policy())


@pytest.fixture(scope="module")
def refusal(world: ArmWorld, server: str, policy: object) -> HttpResponseError:
    asked = m.ValidateForBackupRequest(backup_instance=instance())
    with pytest.raises(HttpResponseError) as refused:
        world.backup().backup_instances.begin_validate_for_backup(GROUP, "v1", asked).result()
    return refused.value


@pytest.fixture(scope="module")
def roles(world: ArmWorld, vault: m.BackupVaultResource, refusal: object) -> None:
    client = world.roles()
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    for name, scope in ((LTR, server_id()), ("Reader", group)):
        found = next(client.role_definitions.list(scope, filter=f"roleName eq '{name}'"))
        client.role_assignments.create(
            scope,
            str(uuid.uuid4()),
            {
                "properties": {
                    "roleDefinitionId": found.id,
                    "principalId": vault.identity.principal_id,
                    "principalType": "ServicePrincipal",
                }
            },
        )


@pytest.fixture(scope="module")
def protected(world: ArmWorld, roles: object) -> m.BackupInstanceResource:
    asked = m.BackupInstanceResource(properties=instance())
    client = world.backup().backup_instances
    return client.begin_create_or_update(GROUP, "v1", "pg1-inst", asked).result()


def test_a_vault_gets_an_identity_and_is_ready_at_once(vault: m.BackupVaultResource) -> None:
    assert vault.id == vault_id()
    assert vault.properties.provisioning_state == "Succeeded"
    assert uuid.UUID(vault.identity.principal_id)


def test_validation_before_the_roles_names_each_role_its_scope_and_the_command(
    refusal: HttpResponseError,
) -> None:
    info = refusal.response.json()["error"]["additionalInfo"][0]["info"]
    assert refusal.error.code == "UserErrorMissingRequiredPermissions"
    assert LTR in refusal.error.message
    assert server_id() in refusal.error.message
    assert len(info["recommendedAction"]) == 2
    assert all(a.startswith("az role assignment create") for a in info["recommendedAction"])


def test_validation_passes_once_the_roles_are_given(world: ArmWorld, roles: object) -> None:
    asked = m.ValidateForBackupRequest(backup_instance=instance())
    client = world.backup().backup_instances
    found = client.begin_validate_for_backup(GROUP, "v1", asked).result()
    assert found.job_id is None


def test_the_instance_becomes_protected(protected: m.BackupInstanceResource) -> None:
    assert protected.properties.current_protection_state == "ProtectionConfigured"
    assert protected.properties.provisioning_state == "Succeeded"
    assert protected.properties.data_source_info.resource_id == server_id()


def operation_of(answer: httpx.Response) -> str:
    assert answer.status_code in {200, 201}, answer.text
    return httpx.URL(answer.headers["Location"]).path.rpartition("/")[2]


def test_the_result_of_an_operation_on_a_resource_is_the_resource(
    world: ArmWorld, protected: m.BackupInstanceResource
) -> None:
    client = world.backup()
    with world.http() as http:
        vault = http.put(vault_id(), params={"api-version": "1"}, json={"location": "local"})
        told = client.backup_vault_operation_results.get(GROUP, "v1", operation_of(vault))
        assert (told.id, told.properties.provisioning_state) == (vault_id(), "Succeeded")
        body = {"properties": instance().as_dict()}
        changed = http.put(protected.id, params={"api-version": "1"}, json=body)
        operation = operation_of(changed)
    client.backup_instances.begin_create_or_update(
        GROUP, "v1", "pg1-inst", m.BackupInstanceResource(properties=instance())
    ).result()
    found = client.backup_instances.get_backup_instance_operation_result(
        GROUP, "v1", "pg1-inst", operation
    )
    assert found.id == protected.id
    assert found.properties.current_protection_state == "ProtectionConfigured"


def test_an_operation_is_no_result_of_another_resource(world: ArmWorld, protected: object) -> None:
    with world.http() as http:
        vault = http.put(vault_id(), params={"api-version": "1"}, json={"location": "local"})
    with pytest.raises(ResourceNotFoundError):
        world.backup().backup_instances.get_backup_instance_operation_result(
            GROUP, "v1", "pg1-inst", operation_of(vault)
        )
    with pytest.raises(ResourceNotFoundError):
        world.backup().backup_vault_operation_results.get(GROUP, "v2", operation_of(vault))


def test_a_writer_who_saw_an_older_vault_is_refused(world: ArmWorld, vault: object) -> None:
    client = world.backup().backup_vaults
    seen = client.get(GROUP, "v1").e_tag
    changes = m.PatchResourceRequestInput(tags={"by": "first"})
    client.begin_update(GROUP, "v1", changes, headers={"If-Match": seen}).result()
    for late in ("begin_update", "begin_delete"):
        words = [changes] if late == "begin_update" else []
        with pytest.raises(HttpResponseError) as refused:
            getattr(client, late)(GROUP, "v1", *words, headers={"If-Match": seen}).result()
        assert refused.value.status_code == 412
        assert refused.value.error.code == "PreconditionFailed"
    assert client.get(GROUP, "v1").tags == {"by": "first"}


def test_a_vault_that_must_be_new_is_not_changed(world: ArmWorld, vault: object) -> None:
    url, body = vault_id("fresh"), {"location": "local"}
    new = {"If-None-Match": "*", "x-ms-client-request-id": "the-first-one"}
    with world.http() as http:
        answers = [
            http.put(url, params={"api-version": "1"}, json=body, headers=headers)
            for headers in (new, new, {"If-None-Match": "*"}, {"If-Match": "*"})
        ]
        gone = {"If-Match": "*"}
        missing = http.put(f"{url}er", params={"api-version": "1"}, json=body, headers=gone)
    assert [answer.status_code for answer in answers] == [201, 200, 412, 200]
    assert missing.status_code == 412


def test_a_backup_on_demand_names_its_job_and_the_job_tells_progress(
    world: ArmWorld, protected: object
) -> None:
    client = world.backup()
    asked = m.TriggerBackupRequest(
        backup_rule_options=m.AdHocBackupRuleOptions(
            rule_name="BackupWeekly",
            trigger_option=m.AdhocBackupTriggerOption(retention_tag_override="Default"),
        )
    )
    begun = client.backup_instances.begin_adhoc_backup(GROUP, "v1", "pg1-inst", asked).result()
    job = client.jobs.get(GROUP, "v1", begun.job_id.split("/")[-1])
    assert job.properties.status == "InProgress"
    assert [t.task_status for t in job.properties.extended_info.sub_tasks] == ["NotStarted"] * 4
    assert [j.name for j in client.jobs.list(GROUP, "v1")] == [job.name]
    with pytest.raises(ResourceExistsError) as refused:
        client.backup_instances.begin_adhoc_backup(GROUP, "v1", "pg1-inst", asked).result()
    assert refused.value.error.code == "UserErrorMaxConcurrentOperationLimitReached"


def test_a_point_that_is_not_there_cannot_be_restored(world: ArmWorld, protected: object) -> None:
    asked = m.AzureBackupRecoveryPointBasedRestoreRequest(
        recovery_point_id="0" * 32,
        source_data_store_type="VaultStore",
        restore_target_info=m.RestoreTargetInfo(
            recovery_option="FailIfExists",
            restore_location="local",
            datasource_info=m.Datasource(
                resource_id=server_id(), resource_uri="file:///srv/restored?start=true"
            ),
        ),
    )
    client = world.backup().backup_instances
    validation = m.ValidateRestoreRequestObject(restore_request_object=asked)
    with pytest.raises(HttpResponseError):
        client.begin_validate_for_restore(GROUP, "v1", "pg1-inst", validation).result()
    with pytest.raises(ResourceNotFoundError):
        client.begin_trigger_restore(GROUP, "v1", "pg1-inst", asked).result()
    assert list(world.backup().recovery_points.list(GROUP, "v1", "pg1-inst")) == []


def test_a_wrong_secret_is_told_in_azures_words(world: ArmWorld) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        world.credential(secret="wrong").get_token("https://management.azure.com/.default")


def test_the_cloud_default_audience_is_accepted(world: ArmWorld) -> None:
    token = world.credential().get_token("https://management.azure.com/.default").token
    with world.http(token) as http:
        assert http.get("/subscriptions", params={"api-version": "1"}).status_code == 200
