"""Who may do what: every route, asked for by every role. The picture is a golden file.

`UPDATE_GOLDEN=1` writes it anew; the difference is for people to read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from arm_routes import ACTION, api_routes
from arm_story import (
    GROUP_ID,
    GUIDS,
    INSTANCE_ID,
    Story,
    assignment_body,
    assignment_id,
    instance_body,
)
from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, server_id, vault_id
from strongroom.model.identities.access import BUILT_IN, LONG_TERM_RETENTION, allows
from strongroom.model.protection.policy_templates import azure_default_policy
from strongroom.model.resources.guard import PROXY

GOLDEN = Path(__file__).parents[2] / "golden" / "rbac-matrix.txt"
NOBODY = "(no role)"
# The mightiest last: what they delete is still there for the others.
ROLES = [NOBODY, *sorted((r.name for r in BUILT_IN.values()), key=lambda n: (n == "Owner", n))]
SHORT = {LONG_TERM_RETENTION.name: "LTR Backup Role"}
RESTORE = {
    "recoveryPointId": "0" * 32,
    "restoreTargetInfo": {
        "objectType": "RestoreTargetInfo",
        "strongroom": {"targetDirectory": "/srv/restored"},
    },
}
UNSEEN = ("not for you to see", "there is no operation")
CUSTOM_ROLE = {
    "properties": {
        "roleName": "Looker",
        "permissions": [{"actions": ["*/read"]}],
        "assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"],
    }
}
SUBSCRIPTION_ID = f"/subscriptions/{SUBSCRIPTION}"
GUARD = f"{GROUP_ID}/providers/Microsoft.DataProtection/resourceGuards/guard-1"
PLACES = {
    "subscription_id": SUBSCRIPTION,
    "group": GROUP,
    "vault": "v1",
    "location": "local",
    "kind": "deleteProtectedItemRequests",
    "request": "default",
    "namespace": "Microsoft.DataProtection",
    "job_id": GUIDS[9],
    "point": "0" * 32,
    "operation_id": GUIDS[9],
    "hold": "case",
    "scope:path": SUBSCRIPTION_ID.strip("/"),
    "resource:path": server_id().strip("/"),
}
# Their next pages are asked for without a body: what they are of stands in the query.
SOURCES = {"sourceBackupInstanceId": INSTANCE_ID, "sourceBackupVaultId": vault_id()}
NAMES = {
    "Policies": "spare",
    "Instances": "pg1-inst",
    "flexible": "pg1",
    "roleAss": GUIDS[2],
    "/resourceGuards": "guard-1",
    "backupResourceGuardProxies": PROXY,
    "servicePrincipals": "somebody",
    "trustedIssuers": "corp",
    "/approvals": GUIDS[9],
}


def address(method: str, path: str) -> str:
    for place, value in PLACES.items():
        path = path.replace("{" + place + "}", value)
    if path.endswith("roleDefinitions/{name}"):
        own = method in {"PUT", "DELETE"}
        return path.replace("{name}", GUIDS[6] if own else LONG_TERM_RETENTION.id)
    name = next((value for part, value in NAMES.items() if part in path), "")
    return path.replace("{name}", name)


def body_of(method: str, path: str, story: Story) -> dict[str, Any] | None:
    if method not in {"PUT", "POST", "PATCH"}:
        return None
    policy = {"properties": azure_default_policy()}
    bodies = {
        "/backupPolicies/{name}": policy,
        "/validateForBackup": {"backupInstance": instance_body()},
        "/validateForModifyBackup": {"backupInstance": instance_body()},
        "/backupInstances/{name}": {"properties": instance_body()},
        "/backup": {"backupRuleOptions": {"ruleName": "BackupWeekly"}},
        "/validateRestore": {"restoreRequestObject": RESTORE},
        "/planRestore": {"restoreRequestObject": RESTORE},
        "/restore": RESTORE,
        "/roleAssignments/{name}": assignment_body(LONG_TERM_RETENTION.id, story.identity),
        "/roleDefinitions/{name}": CUSTOM_ROLE,
        "/trustedIssuers/{name}": {"properties": {"issuer": "https://idp.example"}},
        "/checkNameAvailability": {"name": "v9"},
        "RegionRestore": {
            "restoreRequestObject": RESTORE,
            "crossRegionRestoreDetails": {"sourceBackupInstanceId": INSTANCE_ID},
        },
        "/fetchSecondaryRecoveryPoints": {"sourceBackupInstanceId": INSTANCE_ID},
        "/fetchCrossRegionRestoreJob": {"sourceBackupVaultId": vault_id()},
        "/fetchCrossRegionRestoreJobs": {"sourceBackupVaultId": vault_id()},
        "/backupResourceGuardProxies/{name}": {
            "properties": {"resourceGuardResourceId": f"{GUARD}0"}  # not there: nothing is guarded
        },
    }
    usual = {"location": "local"}
    return next((body for end, body in bodies.items() if path.endswith(end)), usual)


ARM = ("/subscriptions", "/providers", "/tenants", "/metadata", "/{scope")
FILTERED = ("/subscriptions", "/resourceGroups", "/backupVaults", "/flexibleServers")
FILTERED += ("/resourceGuards", "/resources")


def verdict(path: str, answer: httpx.Response) -> str:
    if answer.status_code in {401, 403}:
        return str(answer.status_code)
    unseen = not answer.text or any(words in answer.text for words in UNSEEN)
    if answer.status_code == 404 and unseen:
        return "404"
    assert answer.status_code < 500, answer.text
    if path.endswith(FILTERED) and answer.request.method == "GET" and not answer.json()["value"]:
        return "none"
    return "yes"


@pytest.fixture(scope="module")
def callers(world: ArmWorld, story: Story) -> Iterator[dict[str, httpx.Client]]:
    found: dict[str, httpx.Client] = {}
    by_name = {role.name: role.id for role in BUILT_IN.values()}
    for name in ROLES:
        roles = [] if name == NOBODY else [(by_name[name], SUBSCRIPTION_ID)]
        _, app, secret = world.principal(name, roles)
        found[name] = world.http(world.token(app, secret))
    yield found
    for client in found.values():
        client.close()


@pytest.fixture(scope="module")
def matrix(story: Story, callers: dict[str, httpx.Client]) -> dict[tuple[str, str], list[str]]:
    story.put(GUARD, {"location": "local"})
    # An assignment that whoever may delete one deletes; the routes at the root have no scope.
    found: dict[tuple[str, str], list[str]] = {}
    for method, path, _ in sorted(api_routes(), key=lambda r: (r[0] == "DELETE", r[1], r[0])):
        body = body_of(method, path, story)
        asked = {**VERSION, **SOURCES} if method == "GET" and "/fetch" in path else VERSION
        found[method, path] = [
            verdict(
                path, callers[n].request(method, address(method, path), params=asked, json=body)
            )
            for n in ROLES
        ]
    return found


def drawn(matrix: dict[tuple[str, str], list[str]]) -> str:
    names = [SHORT.get(name, name) for name in ROLES]
    actions = {(method, path): action for method, path, action in api_routes()}
    lines = [
        "Every route of the API as it answers each role, held at the subscription.",
        "yes: may. 403: sees it, may not. 404: may not even see it. none: a list without entries.",
        "",
    ]
    for (method, path), answers in sorted(matrix.items(), key=lambda item: item[0][::-1]):
        lines += [f"{method} {path}", f"    {actions[method, path]}"]
        said = ", ".join(f"{n}: {a}" for n, a in zip(names, answers, strict=True) if a != "yes")
        able = ", ".join(n for n, a in zip(names, answers, strict=True) if a == "yes")
        lines += [f"    yes: {able or '-'}", f"    {said or 'nobody is refused'}", ""]
    return "\n".join(lines)


def test_the_matrix_is_as_it_was_agreed(matrix: dict[tuple[str, str], list[str]]) -> None:
    now = drawn(matrix)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(now)
    assert GOLDEN.read_text() == now


def test_every_route_answers_each_role_as_its_action_says(
    matrix: dict[tuple[str, str], list[str]],
) -> None:
    by_name = {role.name: role for role in BUILT_IN.values()}
    for method, path, action in api_routes():
        if action.startswith("(") or path.startswith("/providers"):
            continue
        for name, answer in zip(ROLES, matrix[method, path], strict=True):
            may = name != NOBODY and allows(by_name[name], action)
            # whoever holds any role sees that the subscription is there
            may = may or (action == "Microsoft.Resources/subscriptions/read" and name != NOBODY)
            expected = {"yes"} if may else {"403", "404", "none"}
            assert answer in expected, (method, path, name, answer)


def test_every_route_declares_what_it_does() -> None:
    assert [(m, p) for m, p, action in api_routes() if not action] == []
    assert ACTION == "x-strongroom-action"


def test_no_route_is_left_out_of_the_matrix(world: ArmWorld) -> None:
    """Those outside the document have doors of their own: agents, sign-in, health, the portal."""
    document = world.app.openapi()["paths"]
    shown = {(method.upper(), path) for path, told in document.items() for method in told}
    asked = {(method, path.replace(":path}", "}")) for method, path, _ in api_routes()}
    assert shown == asked
    hidden = {route.path for route in flat(world.app.router.routes) if not route.include_in_schema}
    assert {"/agents/enrol", "/{tenant}/oauth2/token"} <= hidden
    assert {path for path in hidden if path.startswith(ARM)} == set()


def flat(routes: list[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from flat(route.original_router.routes)


# A permission counts at its scope and below, never beside it or above


def test_a_role_at_one_group_says_nothing_of_another(world: ArmWorld, story: Story) -> None:
    story.put(f"{GROUP_ID}0", {"location": "local"})
    reader = next(r.id for r in BUILT_IN.values() if r.name == "Reader")
    _, app, secret = world.principal("one-group", [(reader, GROUP_ID)])
    with world.http(world.token(app, secret)) as http:
        assert http.get(GROUP_ID, params=VERSION).status_code == 200
        assert http.get(f"{GROUP_ID}0", params=VERSION).status_code == 404
        listed = http.get(f"{SUBSCRIPTION_ID}/resourceGroups", params=VERSION).json()
        assert [group["name"] for group in listed["value"]] == [GROUP]


def test_an_owner_of_one_group_cannot_touch_roles_elsewhere(world: ArmWorld, story: Story) -> None:
    owner = next(r.id for r in BUILT_IN.values() if r.name == "Owner")
    principal, app, secret = world.principal("group-owner", [(owner, f"{GROUP_ID}0")])
    story.put(f"{GROUP_ID}0", {"location": "local"})
    with world.http(world.token(app, secret)) as http:
        wish = assignment_body(owner, principal)
        higher = assignment_id(SUBSCRIPTION_ID, GUIDS[5])
        assert http.put(higher, params=VERSION, json=wish).status_code == 404
        through = assignment_id(f"{GROUP_ID}0", GUIDS[0])
        assert http.delete(through, params=VERSION).status_code == 204
    assert story.get(assignment_id(server_id(), GUIDS[0]))["name"] == GUIDS[0]


def test_protecting_a_server_needs_sight_of_it(world: ArmWorld, story: Story) -> None:
    contributor = next(r.id for r in BUILT_IN.values() if r.name == "Backup Contributor")
    _, app, secret = world.principal("vault-only", [(contributor, vault_id())])
    with world.http(world.token(app, secret)) as http:
        answer = http.put(INSTANCE_ID, params=VERSION, json={"properties": instance_body()})
    assert answer.status_code == 404
