"""Deleted, listed as deleted, had back, adopted: by Azure's own client."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.dataprotection import models as m

from arm_story import GROUP_ID, INSTANCE_ID, Story, add_point, assignment_body, assignment_id
from arm_story import instance_body as body_of
from arm_world import VERSION, ArmWorld, server_id, vault_id
from strongroom.catalog.points import holds
from strongroom.catalog.points import recovery_points as recovery_points_of
from strongroom.catalog.tables.keeping_tables import deletions
from strongroom.catalog.tables.tables import audit, instances, recovery_points, vaults
from strongroom.model.identities.access import LONG_TERM_RETENTION, READER
from strongroom.model.protection.policy_templates import azure_default_policy

GROUP = GROUP_ID.rpartition("/")[2]
PLACE = (GROUP, "v1", "pg1-inst")


@pytest.fixture
def client(world: ArmWorld, story: Story) -> Any:
    """`pg1-inst` is there and protected, under its own name, as each test begins."""
    found = world.backup()
    for deleted in found.deleted_backup_instances.list(GROUP, "v1"):
        found.deleted_backup_instances.begin_undelete(GROUP, "v1", deleted.name).result()
    for each in found.backup_instances.list(GROUP, "v1"):
        if each.name != "pg1-inst":
            found.backup_instances.begin_delete(GROUP, "v1", each.name).result()
    story.put(INSTANCE_ID, {"properties": body_of()})
    if state(found) == "ProtectionStopped":
        found.backup_instances.begin_resume_protection(*PLACE).result()
    story.until_protected()
    return found


def state(client: Any, name: str = "pg1-inst") -> str:
    told: str = client.backup_instances.get(GROUP, "v1", name).properties.current_protection_state
    return told


def names(found: Any) -> list[str]:
    return [each.name for each in found]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:26] + "+00:00")


def test_what_is_deleted_is_not_found_is_listed_as_deleted_and_comes_back_stopped(
    client: Any, story: Story
) -> None:
    assert client.backup_instances.begin_delete(*PLACE).result() is None
    with pytest.raises(ResourceNotFoundError):
        client.backup_instances.get(*PLACE)
    assert names(client.backup_instances.list(GROUP, "v1")) == []
    assert names(client.deleted_backup_instances.list(GROUP, "v1")) == ["pg1-inst"]
    deleted = client.deleted_backup_instances.get(*PLACE)
    assert deleted.type == "Microsoft.DataProtection/backupVaults/deletedBackupInstances"
    assert deleted.id == f"{vault_id()}/deletedBackupInstances/pg1-inst"
    told = deleted.properties
    assert isinstance(told, m.DeletedBackupInstance)
    assert (told.current_protection_state, told.protection_status.status) == (
        "SoftDeleted",
        "SoftDeleted",
    )
    info = told.deletion_info
    lasts = moment(info.scheduled_purge_time) - moment(info.deletion_time)
    assert lasts == timedelta(days=14)
    assert uuid.UUID(info.delete_activity_id)
    client.deleted_backup_instances.begin_undelete(*PLACE).result()
    assert state(client) == "ProtectionStopped"
    assert story.get(INSTANCE_ID)["properties"]["strongroom"]["nextBackup"] is None
    with pytest.raises(ResourceNotFoundError):
        client.deleted_backup_instances.get(*PLACE)


def test_what_is_deleted_takes_no_backups_and_restores_nothing(client: Any, story: Story) -> None:
    client.backup_instances.begin_delete(*PLACE).result()
    for act in ("backup", "restore", "stopProtection", "resumeProtection"):
        answer = story.http.post(
            f"{INSTANCE_ID}/{act}", params=VERSION, json={"backupRuleOptions": {"ruleName": "x"}}
        )
        assert answer.status_code == 404, (act, answer.text)
    answer = story.http.delete(INSTANCE_ID, params=VERSION)
    assert answer.status_code == 204


def test_a_server_that_is_protected_again_keeps_its_points_under_the_new_name(
    client: Any, world: ArmWorld, story: Story
) -> None:
    add_point(world, 1, "Full", 1, {})
    client.backup_instances.begin_delete(*PLACE).result()
    made = client.backup_instances.begin_create_or_update(
        GROUP, "v1", "pg1-again", {"properties": body_of()}
    ).result()
    assert made.properties.current_protection_state == "ProtectionConfigured"
    assert f"{1:032x}" in names(client.recovery_points.list(GROUP, "v1", "pg1-again"))
    assert names(client.deleted_backup_instances.list(GROUP, "v1")) == []
    with world.database.reading() as connection:
        assert len(connection.execute(instances.select()).all()) == 1
        rows = connection.execute(audit.select().where(audit.c.action == "instance/write"))
        last = rows.mappings().all()[-1]
    assert (last["before"]["state"], last["before"]["name"]) == ("SoftDeleted", "pg1-inst")
    remove_points(world)


def test_another_vault_does_not_take_over_what_is_deleted_here(client: Any, story: Story) -> None:
    other = story.put(vault_id("v9"), {"location": "local"})
    policy = {"properties": azure_default_policy()}
    story.put(f"{vault_id('v9')}/backupPolicies/pgflex", policy)
    principal = other["identity"]["principalId"]
    for role, scope in ((LONG_TERM_RETENTION.id, server_id()), (READER.id, GROUP_ID)):
        story.put(assignment_id(scope, str(uuid.uuid4())), assignment_body(role, principal))
    client.backup_instances.begin_delete(*PLACE).result()
    body = body_of()
    body["policyInfo"]["policyId"] = f"{vault_id('v9')}/backupPolicies/pgflex"
    with pytest.raises(HttpResponseError, match="protection status as SoftDeleted") as refused:
        client.backup_instances.begin_create_or_update(
            GROUP, "v9", "pg1-inst", {"properties": body}
        ).result()
    told = refused.value
    assert (told.status_code, told.error.code) == (400, "UserErrorDppDatasourceAlreadyProtected")


def test_a_policy_of_a_deleted_instance_is_still_in_use(client: Any) -> None:
    client.backup_instances.begin_delete(*PLACE).result()
    with pytest.raises(HttpResponseError) as refused:
        client.backup_policies.delete(GROUP, "v1", "pgflex")
    assert refused.value.error.code == "UserErrorDppPolicyObjectInUse"


def test_a_request_to_delete_that_is_sent_again_is_one(client: Any, story: Story) -> None:
    again = {"x-ms-client-request-id": str(uuid.uuid4())}
    first, second = (
        story.http.delete(INSTANCE_ID, params=VERSION, headers=again) for _ in range(2)
    )
    assert first.status_code == second.status_code == 202
    assert first.headers["Location"] == second.headers["Location"]


def test_a_held_point_keeps_itself_and_its_instance_from_being_deleted(
    client: Any, world: ArmWorld, story: Story
) -> None:
    point = f"{2:032x}"
    add_point(world, 2, "Full", 1, {})
    hold = a_hold(world, point)
    for place in (INSTANCE_ID, f"{INSTANCE_ID}/recoveryPoints/{point}"):
        answer = story.http.delete(place, params=VERSION)
        assert answer.status_code == 409, answer.text
        assert "held by lawsuit" in answer.json()["error"]["message"]
    with world.database.writing() as connection:
        holds.remove(connection, hold)
    assert story.http.delete(INSTANCE_ID, params=VERSION).status_code == 202
    remove_points(world)


def test_an_immutable_vault_lets_nobody_delete_what_has_not_ended(
    client: Any, world: ArmWorld, story: Story
) -> None:
    add_point(world, 3, "Full", 1, {})
    for mode, status in (("Unlocked", 409), ("Disabled", 202)):
        security = {"immutabilitySettings": {"state": mode}}
        settings = {"properties": {"securitySettings": security}}
        answer = story.http.patch(vault_id(), params=VERSION, json=settings)
        assert answer.status_code == 200, answer.text
        answer = story.http.delete(INSTANCE_ID, params=VERSION)
        assert answer.status_code == status, answer.text
    remove_points(world)


def test_a_point_is_deleted_listed_and_had_back(
    client: Any, world: ArmWorld, story: Story
) -> None:
    add_point(world, 4, "Full", 1, {})
    point = f"{4:032x}"
    home = f"{INSTANCE_ID}/recoveryPoints/{point}"
    assert story.http.delete(home, params=VERSION).status_code == 202
    assert story.http.get(home, params=VERSION).status_code == 404
    assert names(client.recovery_points.list(*PLACE)) == []
    listed = story.get(f"{INSTANCE_ID}/deletedRecoveryPoints")["value"]
    assert [each["name"] for each in listed] == [point]
    told = listed[0]["properties"]
    assert told["recoveryPointState"] == "SoftDeleted"
    assert told["deletionInfo"]["scheduledPurgeTime"] > told["deletionInfo"]["deletionTime"]
    back = f"{INSTANCE_ID}/deletedRecoveryPoints/{point}/undelete"
    assert story.http.post(back, params=VERSION).status_code == 202
    assert names(client.recovery_points.list(*PLACE)) == [point]
    remove_points(world)


def test_a_deleted_instance_can_be_held_and_then_nobody_purges_it(
    client: Any, world: ArmWorld, story: Story
) -> None:
    client.backup_instances.begin_delete(*PLACE).result()
    place = f"{INSTANCE_ID}/legalHolds/case"
    answer = story.http.put(place, params=VERSION, json={"properties": {"reason": "late"}})
    assert answer.status_code == 201, answer.text
    ended(story, answer)
    purge = f"{vault_id()}/deletedBackupInstances/pg1-inst/purge"
    answer = story.http.post(purge, params=VERSION, json={})
    assert answer.status_code == 409, answer.text
    assert "held by case" in answer.json()["error"]["message"]
    assert [each["name"] for each in story.get(f"{INSTANCE_ID}/legalHolds")["value"]] == ["case"]
    answer = story.http.delete(place, params=VERSION)
    assert answer.status_code == 202, answer.text
    ended(story, answer)


def test_what_is_deleted_is_purged_on_request_unless_soft_delete_is_always_on(
    client: Any, world: ArmWorld, story: Story
) -> None:
    add_point(world, 6, "Full", 1, {})
    point = f"{6:032x}"
    assert story.http.delete(f"{INSTANCE_ID}/recoveryPoints/{point}", params=VERSION).is_success
    home = f"{INSTANCE_ID}/deletedRecoveryPoints/{point}"
    assert story.http.post(f"{home}/purge", params=VERSION, json={}).status_code == 202
    client.backup_instances.begin_delete(*PLACE).result()
    purge = f"{vault_id()}/deletedBackupInstances/pg1-inst/purge"
    with world.database.writing() as connection:
        before = connection.execute(vaults.select()).mappings().first()
        always = {"securitySettings": {"softDeleteSettings": {"state": "AlwaysOn"}}}
        connection.execute(vaults.update().values(properties=always))
    answer = story.http.post(purge, params=VERSION, json={})
    assert answer.status_code == 409, answer.text
    assert "AlwaysOn" in answer.json()["error"]["message"]
    with world.database.writing() as connection:
        connection.execute(vaults.update().values(properties=before["properties"]))
    assert story.http.post(purge, params=VERSION, json={}).status_code == 202
    with world.database.reading() as connection:
        rows = connection.execute(deletions.select()).mappings().all()
        assert {row["purge_at"] <= world.clock.now() for row in rows} == {True}
        told = {row.action for row in connection.execute(audit.select())}
    assert {"instance/purgeNow", "recoveryPoint/purgeNow"} <= told
    remove_points(world)
    with world.database.writing() as connection:
        connection.execute(deletions.delete().where(deletions.c.kind == "point"))


def test_from_what_is_being_purged_there_is_no_way_back(
    client: Any, world: ArmWorld, story: Story
) -> None:
    add_point(world, 5, "Full", 1, {})
    point = f"{5:032x}"
    assert story.http.delete(f"{INSTANCE_ID}/recoveryPoints/{point}", params=VERSION).is_success
    begin_purge(world, point)
    back = f"{INSTANCE_ID}/deletedRecoveryPoints/{point}/undelete"
    assert story.http.post(back, params=VERSION).status_code == 409
    with world.database.writing() as connection:
        recovery_points_of.set_state(connection, point, recovery_points_of.PURGING)
    held = {"properties": {"recoveryPointId": point}}
    answer = story.http.put(f"{INSTANCE_ID}/legalHolds/x", params=VERSION, json=held)
    assert answer.status_code == 404, answer.text
    client.backup_instances.begin_delete(*PLACE).result()
    with world.database.reading() as connection:
        instance = connection.execute(instances.select()).mappings().one()["id"]
    begin_purge(world, instance)
    with pytest.raises(ResourceExistsError, match="is being purged"):
        client.deleted_backup_instances.begin_undelete(*PLACE).result()
    answer = story.http.put(INSTANCE_ID, params=VERSION, json={"properties": body_of()})
    assert answer.status_code == 409, answer.text
    begin_purge(world, instance, begun=False)
    remove_points(world)


def ended(story: Story, answer: Any) -> None:
    for _ in range(400):
        told = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
        if told["status"] != "Inprogress":
            break
        story.world.clock.sleep(0.05)
    assert told["status"] == "Succeeded", told


def begin_purge(world: ArmWorld, thing: str, *, begun: bool = True) -> None:
    with world.database.writing() as connection:
        mine = deletions.c.id == thing
        connection.execute(deletions.update().where(mine).values(begun=begun))


def a_hold(world: ArmWorld, point: str) -> str:
    with world.database.writing() as connection:
        row = connection.execute(instances.select()).mappings().one()
        hold = {"id": "a" * 32, "instance_id": row["id"], "point_id": point, "name": "lawsuit"}
        hold |= {"name_key": "lawsuit", "reason": "", "state": "held", "names": []}
        holds.add(connection, {**hold, "set_by": "me", "set_at": world.clock.now()})
    return str(hold["id"])


def remove_points(world: ArmWorld) -> None:
    with world.database.writing() as connection:
        connection.execute(recovery_points.delete())
