"""Roles that people make: what they give, where, and who may make them."""

import uuid
from typing import Any

import httpx
import pytest
from azure.mgmt.authorization.models import Permission, RoleDefinition

from arm_story import GROUP_ID, GUIDS, Story, assignment_body, assignment_id
from arm_world import SUBSCRIPTION, VERSION, ArmWorld, vault_id
from strongroom.model.identities.access import CONTRIBUTOR, OWNER, READER

SUBSCRIPTION_ID = f"/subscriptions/{SUBSCRIPTION}"
OTHER = f"{GROUP_ID}0"
MINE = "0b7e0b7e-0000-4000-8000-000000000001"
VAULTS = "Microsoft.DataProtection/backupVaults"


def place(scope: str, guid: str = MINE) -> str:
    return f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{guid}"


def role(name: str = "Vault watcher", *scopes: str, **lists: list[str]) -> dict[str, Any]:
    told = {"roleName": name, "type": "CustomRole", "description": "looks, no more"}
    permission = {"actions": [f"{VAULTS}/*"], "notActions": [f"{VAULTS}/delete"], **lists}
    told |= {"permissions": [permission], "assignableScopes": list(scopes) or [GROUP_ID]}
    return {"properties": told}


def signed_in(world: ArmWorld, name: str, role_id: str, scope: str) -> httpx.Client:
    _, app, secret = world.principal(name, [(role_id, scope)])
    return world.http(world.token(app, secret))


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def test_a_custom_role_gives_what_it_says_less_what_it_takes_out(
    world: ArmWorld, story: Story
) -> None:
    made = story.put(place(SUBSCRIPTION_ID), role())
    assert made["properties"]["type"] == "CustomRole"
    principal, app, secret = world.principal("watcher", [])
    given = story.put(assignment_id(GROUP_ID, GUIDS[4]), assignment_body(MINE, principal))
    assert given["properties"]["roleDefinitionId"].endswith(MINE)
    with world.http(world.token(app, secret)) as http:
        assert http.get(vault_id(), params=VERSION).status_code == 200
        refused(http.delete(vault_id(), params=VERSION), 403, "AuthorizationFailed")
        assert http.get(GROUP_ID, params=VERSION).status_code == 404
        story.put(place(SUBSCRIPTION_ID), role(notActions=["*"]))
        assert http.get(vault_id(), params=VERSION).status_code == 404


def test_azures_client_makes_lists_and_deletes_one(world: ArmWorld, story: Story) -> None:
    roles = world.roles().role_definitions
    guid = str(uuid.uuid4())
    wish = RoleDefinition(
        role_name="Data watcher",
        role_type="CustomRole",
        permissions=[Permission(actions=["*/read"], not_data_actions=["*"])],
        assignable_scopes=[SUBSCRIPTION_ID],
    )
    made = roles.create_or_update(SUBSCRIPTION_ID, guid, wish)
    assert made.permissions[0].not_data_actions == ["*"]
    found = list(roles.list(SUBSCRIPTION_ID, filter="type eq 'CustomRole'"))
    assert guid in {each.name for each in found}
    assert READER.id not in {each.name for each in found}
    (named,) = roles.list(GROUP_ID, filter="roleName eq 'Data watcher'")
    assert named.assignable_scopes == [SUBSCRIPTION_ID]
    assert roles.delete(SUBSCRIPTION_ID, guid).name == guid
    assert story.http.delete(place(SUBSCRIPTION_ID, guid), params=VERSION).status_code == 204


def test_a_role_that_somebody_holds_stays_and_stays_where_they_hold_it(story: Story) -> None:
    story.put(place(SUBSCRIPTION_ID), role())
    gone = story.http.delete(place(SUBSCRIPTION_ID), params=VERSION)
    refused(gone, 409, "RoleDefinitionHasAssignments")
    moved = story.http.put(place(SUBSCRIPTION_ID), params=VERSION, json=role("Other", OTHER))
    refused(moved, 409, "RoleDefinitionHasAssignments")


def test_a_role_is_given_at_its_scopes_alone(world: ArmWorld, story: Story) -> None:
    story.put(place(SUBSCRIPTION_ID), role())
    principal, *_ = world.principal("elsewhere", [])
    wish = assignment_body(MINE, principal)
    answer = story.http.put(assignment_id(OTHER, GUIDS[6]), params=VERSION, json=wish)
    refused(answer, 400, "RoleAssignmentScopeNotAssignableToRoleDefinition")
    listed = story.get(place(OTHER, "").rstrip("/"))["value"]
    assert MINE not in {each["name"] for each in listed}


def test_nobody_makes_a_role_that_reaches_further_than_they_do(
    world: ArmWorld, story: Story
) -> None:
    story.put(place(SUBSCRIPTION_ID), role())
    another = "0b7e0b7e-0000-4000-8000-000000000002"
    with signed_in(world, "group-owner", OWNER.id, OTHER) as http:
        wish = role("Further", OTHER, SUBSCRIPTION_ID)
        assert http.put(place(OTHER, another), params=VERSION, json=wish).status_code == 404
        taken = role("Mine now", OTHER)
        assert http.put(place(OTHER), params=VERSION, json=taken).status_code == 404
        assert http.delete(place(OTHER), params=VERSION).status_code == 404
        assert http.put(place(OTHER, another), params=VERSION, json=role("Own", OTHER)).is_success
    with signed_in(world, "contributor", CONTRIBUTOR.id, SUBSCRIPTION_ID) as http:
        answer = http.put(place(SUBSCRIPTION_ID, another), params=VERSION, json=role("Mightier"))
        refused(answer, 403, "AuthorizationFailed")


@pytest.mark.parametrize(
    ("guid", "wish", "status"),
    [
        (READER.id, role("Reader of mine"), 409),
        (GUIDS[7], role("reader"), 409),
        (GUIDS[7], role("  "), 400),
        (GUIDS[7], role("x" * 129), 400),
        (GUIDS[7], role("Root", "/"), 400),
        (GUIDS[7], role("Beyond", "/subscriptions/another"), 400),
        (GUIDS[7], role("Odd", actions=["a b"]), 400),
        (GUIDS[7], role("Odd", actions=["*/read\n"]), 400),
        (GUIDS[7], role("Odd", actions=[1]), 400),  # type: ignore[list-item]
        (GUIDS[7], role("Odd", dataActions="*"), 400),  # type: ignore[arg-type]
        (GUIDS[7], {"properties": {"roleName": "Bare"}}, 400),
        ("not-a-guid", role("Odd"), 400),
    ],
)
def test_a_role_that_cannot_be_is_refused(
    story: Story, guid: str, wish: dict[str, Any], status: int
) -> None:
    answer = story.http.put(place(SUBSCRIPTION_ID, guid), params=VERSION, json=wish)
    assert answer.status_code == status, answer.text


def test_the_root_tells_of_built_in_roles_to_anybody_and_of_no_others(
    world: ArmWorld, story: Story
) -> None:
    guid = str(uuid.uuid4())
    story.put(place(SUBSCRIPTION_ID, guid), role("Nobody's business"))
    _, app, secret = world.principal("stranger", [])
    with world.http(world.token(app, secret)) as http:
        told = http.get(place("", ""), params=VERSION).json()["value"]
        assert {OWNER.id, READER.id} <= {each["name"] for each in told}
        assert {each["properties"]["type"] for each in told} == {"BuiltInRole"}
        assert http.get(place("", READER.id), params=VERSION).status_code == 200
        assert http.get(place("", guid), params=VERSION).status_code == 404
        assert http.get(place(SUBSCRIPTION_ID, READER.id), params=VERSION).status_code == 404
