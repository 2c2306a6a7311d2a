"""A vault that is deleted is listed by Azure's own client, and had back as Azure has it."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from arm_story import GROUP_ID, INSTANCE_ID, Story, assignment_id
from arm_story import instance_body as body_of
from arm_world import SUBSCRIPTION, VERSION, ArmWorld, vault_id

GROUP = GROUP_ID.rpartition("/")[2]
BODY = {"location": "local"}


def soft(state: str, days: float = 14) -> dict[str, Any]:
    settings = {"softDeleteSettings": {"state": state, "retentionDurationInDays": days}}
    return {**BODY, "properties": {"securitySettings": settings}}


@pytest.fixture(scope="module")
def client(world: ArmWorld, story: Story) -> Any:
    return world.backup()


def deleted(client: Any, name: str) -> list[Any]:
    found = client.deleted_backup_vaults.list_by_location("local")
    return [each for each in found if each.properties.original_backup_vault_name == name]


def have_back(client: Any, name: str, which: str) -> Any:
    return client.backup_vaults.begin_create_or_update(
        GROUP, name, BODY, x_ms_deleted_vault_id=which
    ).result()


def test_a_vault_that_is_deleted_is_listed_and_comes_back_with_what_it_was(
    client: Any, story: Story
) -> None:
    before = story.put(vault_id("v2"), soft("On", 30))
    client.backup_vaults.begin_delete(GROUP, "v2").result()
    with pytest.raises(ResourceNotFoundError):
        client.backup_vaults.get(GROUP, "v2")
    (found,) = deleted(client, "v2")
    told = found.properties
    assert told.original_backup_vault_id == vault_id("v2")
    lasts = told.resource_deletion_info.scheduled_purge_time
    assert lasts - told.resource_deletion_info.deletion_time == timedelta(days=30)
    assert client.deleted_backup_vaults.get("local", found.name).id == found.id
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/locations/local"
    assert found.id == f"{home}/deletedVaults/{found.name}"
    back = have_back(client, "v2", found.id)
    assert back.identity.principal_id == before["identity"]["principalId"]
    assert back.properties.security_settings.soft_delete_settings.retention_duration_in_days == 30
    assert deleted(client, "v2") == []
    again = have_back(client, "v2", found.id)
    assert again.id == back.id
    with pytest.raises(ResourceNotFoundError):
        client.deleted_backup_vaults.get("local", found.name)


def test_the_name_of_a_deleted_vault_is_free_and_the_old_one_does_not_push_the_new_one_out(
    client: Any, story: Story
) -> None:
    for _ in range(2):
        story.put(vault_id("v3"), BODY)
        client.backup_vaults.begin_delete(GROUP, "v3").result()
    first, second = deleted(client, "v3")
    story.put(vault_id("v3"), BODY)
    with pytest.raises(ResourceExistsError, match="another vault"):
        have_back(client, "v3", first.id)
    client.backup_vaults.begin_delete(GROUP, "v3").result()
    with pytest.raises(HttpResponseError, match="was v3 in resource group"):
        have_back(client, "v4", second.id)
    with pytest.raises(ResourceNotFoundError):
        have_back(client, "v3", str(uuid.uuid4()))
    with pytest.raises(HttpResponseError, match="x-ms-deleted-vault-id"):
        have_back(client, "v3", "the-old-one")


def test_what_is_soft_deleted_goes_with_its_vault_and_can_be_had_back_after_it(
    client: Any, story: Story
) -> None:
    client.backup_policies.delete(GROUP, "v1", "spare")
    place = (GROUP, "v1", "pg1-inst")
    with pytest.raises(ResourceExistsError) as refused:
        client.backup_vaults.begin_delete(GROUP, "v1").result()
    targets = {each.target for each in refused.value.error.details}
    assert targets == {INSTANCE_ID, f"{vault_id()}/backupPolicies/pgflex"}
    client.backup_instances.begin_delete(*place).result()
    client.backup_vaults.begin_delete(GROUP, "v1").result()
    assert (
        story.http.get(f"{vault_id()}/deletedBackupInstances", params=VERSION).status_code == 404
    )
    (found,) = deleted(client, "v1")
    have_back(client, "v1", found.id)
    assert [each.name for each in client.deleted_backup_instances.list(GROUP, "v1")] == [
        "pg1-inst"
    ]
    client.deleted_backup_instances.begin_undelete(*place).result()
    assert client.backup_instances.get(*place).properties.current_protection_state == (
        "ProtectionStopped"
    )
    story.put(INSTANCE_ID, {"properties": body_of()})


def test_without_soft_delete_a_vault_is_gone_at_once(client: Any, story: Story) -> None:
    vault = story.put(vault_id("v5"), soft("Off"))
    place = assignment_id(GROUP_ID, str(uuid.uuid4()))
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    role = {"roleDefinitionId": f"{home}/{reader}"}
    story.put(place, {"properties": {**role, "principalId": vault["identity"]["principalId"]}})
    client.backup_vaults.begin_delete(GROUP, "v5").result()
    assert deleted(client, "v5") == []
    assert story.http.get(place, params=VERSION).status_code == 404


def test_always_on_can_be_neither_turned_off_nor_shortened(story: Story) -> None:
    story.put(vault_id("v6"), soft("AlwaysOn", 60))
    for wish in (soft("Off", 60), soft("On", 60), soft("AlwaysOn", 59)):
        answer = story.http.put(vault_id("v6"), params=VERSION, json=wish)
        assert answer.status_code == 409, answer.text
    assert story.put(vault_id("v6"), soft("AlwaysOn", 61))
    for days in (13, 181):
        answer = story.http.put(vault_id("v6"), params=VERSION, json=soft("AlwaysOn", days))
        assert answer.status_code == 400, answer.text
