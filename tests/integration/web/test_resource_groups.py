"""A resource group goes with all that is in it, or stays with all of it."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from arm_story import GROUP_ID, GUIDS, INSTANCE_ID, Story, assignment_body, assignment_id
from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, server_id, vault_id
from strongroom.catalog.identities import role_assignments
from strongroom.catalog.tables.tables import resource_groups
from strongroom.model.identities.access import CONTRIBUTOR, READER

OTHER = "spare-rg"
OTHER_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{OTHER}"
GUARD_ID = f"{OTHER_ID}/providers/Microsoft.DataProtection/resourceGuards/g1"


@pytest.fixture(scope="module")
def groups(world: ArmWorld) -> Any:
    return world.resources().resource_groups


@pytest.fixture
def filled(story: Story) -> Story:
    """`spare-rg` holds a vault, a guard and a server that nothing protects, and roles."""
    story.put(OTHER_ID, {"location": "local", "tags": {"a": "b"}})
    story.put(vault_id("v2", OTHER), {"location": "local"})
    story.put(GUARD_ID, {"location": "local"})
    story.put(server_id("pg2", OTHER), {"properties": {"strongroom": {"agentServer": "second"}}})
    for scope, guid in ((OTHER_ID, GUIDS[4]), (server_id("pg2", OTHER), GUIDS[5])):
        story.put(assignment_id(scope, guid), assignment_body(READER.id, story.identity))
    return story


def test_tags_are_changed_and_what_is_in_a_group_is_listed(
    world: ArmWorld, filled: Story, groups: Any
) -> None:
    assert groups.update(OTHER, {"tags": {"c": "d"}}).tags == {"c": "d"}
    assert groups.get(OTHER).tags == {"c": "d"}
    listed = world.resources().resources
    assert {each.id for each in listed.list_by_resource_group(OTHER)} == {
        vault_id("v2", OTHER),
        GUARD_ID,
        server_id("pg2", OTHER),
    }
    vaults = "resourceType eq 'Microsoft.DataProtection/backupVaults'"
    assert {each.name for each in listed.list(filter=vaults)} == {"v1", "v2"}
    with pytest.raises(HttpResponseError, match="not offered"):
        list(listed.list(filter="tagName eq 'c'"))


def test_what_is_protected_keeps_its_group_and_all_that_is_in_it(
    world: ArmWorld, story: Story, groups: Any
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        groups.begin_delete(GROUP).result()
    assert refused.value.status_code == 409
    assert refused.value.error.code == "ResourceGroupDeletionBlocked"
    named = {detail.target for detail in refused.value.error.details}
    assert named >= {INSTANCE_ID, f"{vault_id()}/backupPolicies/pgflex"}
    assert vault_id() in refused.value.error.message
    kept = story.http.delete(server_id(), params=VERSION)
    assert (kept.status_code, INSTANCE_ID in kept.text) == (409, True)
    for there in (GROUP_ID, vault_id(), INSTANCE_ID, server_id()):
        assert story.get(there)
    assert story.get(assignment_id(GROUP_ID, GUIDS[1]))


def test_a_group_goes_with_all_in_it_and_only_its_deleted_vault_can_be_had_back(
    world: ArmWorld, filled: Story, groups: Any
) -> None:
    groups.begin_delete(OTHER.upper()).result()
    assert not groups.check_existence(OTHER)
    with pytest.raises(ResourceNotFoundError):
        groups.begin_delete(OTHER)
    assert OTHER not in {each.name for each in groups.list()}
    with world.database.reading() as connection:
        left = {row["scope"] for row in role_assignments.list_all(connection)}
    assert not {scope for scope in left if scope.startswith(OTHER_ID)}

    filled.put(OTHER_ID, {"location": "local"})  # made anew it holds nothing, and nobody's role
    assert list(world.resources().resources.list_by_resource_group(OTHER)) == []
    assert groups.get(OTHER).tags == {}
    (deleted,) = world.backup().deleted_backup_vaults.list_by_location("local")
    back = filled.http.put(
        vault_id("v2", OTHER),
        params=VERSION,
        json={"location": "local"},
        headers={"x-ms-deleted-vault-id": deleted.id},
    )
    assert back.status_code == 201
    # Where a deleted vault ends at once, nothing of its group is kept.
    off = {"securitySettings": {"softDeleteSettings": {"state": "Off"}}}
    filled.put(vault_id("v2", OTHER), {"location": "local", "properties": off})
    groups.begin_delete(OTHER).result()
    with world.database.reading() as connection:
        rows = connection.execute(resource_groups.select()).mappings()
        assert {row["name"] for row in rows} == {GROUP}


def test_whoever_may_not_delete_what_is_in_a_group_may_not_delete_the_group(
    world: ArmWorld, filled: Story
) -> None:
    roles = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    lone = {
        "roleName": "Sweeper",
        "permissions": [{"actions": ["Microsoft.Resources/*", "*/read"]}],
        "assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"],
    }
    filled.put(f"{roles}/{GUIDS[7]}", {"properties": lone})
    _, app, secret = world.principal("sweeper", [(GUIDS[7], OTHER_ID)])
    with world.http(world.token(app, secret)) as http:
        answer = http.delete(OTHER_ID, params=VERSION)
    assert answer.status_code == 403
    assert "backupVaults/delete" in answer.text
    _, app, secret = world.principal("helper", [(CONTRIBUTOR.id, OTHER_ID)])
    with world.http(world.token(app, secret)) as http:
        answer = http.delete(OTHER_ID, params=VERSION)
        assert answer.status_code == 202
        # Whoever deleted the group has no role there any more, and still learns how it ended.
        assert http.get(answer.headers["Location"]).status_code == 200
