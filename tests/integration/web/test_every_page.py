"""Every list, page after page, through Azure's own clients and while things come and go."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient

import fetch_older_sdk
from arm_story import (
    GROUP_ID,
    INSTANCE_ID,
    Story,
    add_point,
    assignment_body,
    assignment_id,
    instance_body,
)
from arm_world import (
    APP,
    GROUP,
    SECRET,
    SUBSCRIPTION,
    TENANT,
    VERSION,
    ArmWorld,
    server_id,
    vault_id,
)
from strongroom.model import page
from strongroom.model.identities.access import LONG_TERM_RETENTION, READER
from strongroom.model.protection.policy_templates import azure_default_policy

SIZE = 2
LISTER = Path(__file__).parents[2] / "sdk_lists.py"
HOME = f"/subscriptions/{SUBSCRIPTION}"
PROTECTION = "providers/Microsoft.DataProtection"
LISTS = {
    "vaults": f"{GROUP_ID}/{PROTECTION}/backupVaults",
    "all vaults": f"{HOME}/{PROTECTION}/backupVaults",
    "deleted vaults": f"{HOME}/{PROTECTION}/locations/local/deletedVaults",
    "policies": f"{vault_id()}/backupPolicies",
    "instances": f"{vault_id()}/backupInstances",
    "deleted instances": f"{vault_id()}/deletedBackupInstances",
    "points": f"{INSTANCE_ID}/recoveryPoints",
    "jobs": f"{vault_id()}/backupJobs",
    "assignments": f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments",
    "groups": f"{HOME}/resourceGroups",
    "resources": f"{GROUP_ID}/resources",
    "all resources": f"{HOME}/resources",
    "servers": server_id().rpartition("/")[0],
    "all servers": f"{HOME}/providers/Microsoft.DBforPostgreSQL/flexibleServers",
    "guards": f"{GROUP_ID}/{PROTECTION}/resourceGuards",
    "all guards": f"{HOME}/{PROTECTION}/resourceGuards",
}
# How Azure's clients ask for it: (client, group of operations, method, arguments).
ASKED: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "vaults": ("backup", "backup_vaults", "get_in_resource_group", (GROUP,)),
    "all vaults": ("backup", "backup_vaults", "get_in_subscription", ()),
    "deleted vaults": ("backup", "deleted_backup_vaults", "list_by_location", ("local",)),
    "policies": ("backup", "backup_policies", "list", (GROUP, "v1")),
    "instances": ("backup", "backup_instances", "list", (GROUP, "v1")),
    "deleted instances": ("backup", "deleted_backup_instances", "list", (GROUP, "v1")),
    "points": ("backup", "recovery_points", "list", (GROUP, "v1", "pg1-inst")),
    "jobs": ("backup", "jobs", "list", (GROUP, "v1")),
    "assignments": ("roles", "role_assignments", "list_for_scope", (GROUP_ID,)),
    "groups": ("resources", "resource_groups", "list", ()),
    "resources": ("resources", "resources", "list_by_resource_group", (GROUP,)),
    "all resources": ("resources", "resources", "list", ()),
    "servers": ("servers", "servers", "list_by_resource_group", (GROUP,)),
    "all servers": ("servers", "servers", "list_by_subscription", ()),
    "guards": ("backup", "resource_guards", "get_resources_in_resource_group", (GROUP,)),
    "all guards": ("backup", "resource_guards", "get_resources_in_subscription", ()),
}


def add(world: ArmWorld, story: Story, name: str) -> None:
    """One more in each of the lists."""
    here = {"location": "local"}
    story.put(f"{HOME}/resourceGroups/{name}", {**here, "tags": {"Of": name, "all": "x"}})
    for vault in (f"v-{name}", f"gone-{name}"):
        story.put(vault_id(vault), here)
    assert story.http.delete(vault_id(f"gone-{name}"), params=VERSION).status_code == 200
    story.put(f"{GROUP_ID}/{PROTECTION}/resourceGuards/g-{name}", here)
    story.put(f"{vault_id()}/backupPolicies/p-{name}", {"properties": azure_default_policy()})
    principal, _, _ = world.principal(f"who-{name}", [])
    story.put(assignment_id(GROUP_ID, principal), assignment_body(READER.id, principal))
    add_point(world, int.from_bytes(name.encode()), "Full", 1 << 20, {}, of="pg1-inst")
    for kept in (True, False):
        server = f"{name}-{'kept' if kept else 'gone'}"
        story.put(server_id(server), {"properties": {"strongroom": {"agentServer": server}}})
        world.agent_says(story.agent, server)
        instance = f"{vault_id()}/backupInstances/{server}"
        story.put(instance, {"properties": instance_body(server)})
        begun = {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
        if kept:
            assert story.outcome(f"{instance}/backup", begun)["status"] == "Succeeded"
        else:
            assert story.http.delete(instance, params=VERSION).status_code == 202


@pytest.fixture(scope="module", autouse=True)
def some(world: ArmWorld, story: Story) -> None:
    everywhere = assignment_body(LONG_TERM_RETENTION.id, story.identity)
    story.put(assignment_id(GROUP_ID, story.identity), everywhere)
    for number in range(5):
        add(world, story, f"m{number}")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SIZE", SIZE)


@pytest.fixture(scope="module")
def ask(world: ArmWorld) -> Callable[..., Any]:
    clients = {
        "backup": world.backup(),
        "roles": world.roles(),
        "resources": world.resources(),
        "servers": world.client(PostgreSQLManagementClient),
    }

    def found(name: str, **more: Any) -> Any:
        client, group, method, told = ASKED[name]
        return getattr(getattr(clients[client], group), method)(*told, **more)

    return found


def told(story: Story, url: str) -> dict[str, Any]:
    answer = story.http.get(url, params=VERSION)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("name", LISTS)
def test_azures_client_has_each_item_once_and_in_order(
    story: Story, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = [each["id"] for each in told(story, LISTS[name])["value"]]
    monkeypatch.setattr(page, "SIZE", SIZE)
    pages = [[each.id for each in found] for found in ask(name).by_page()]
    assert [each for found in pages for each in found] == whole
    assert len(set(whole)) == len(whole) >= 5
    assert {len(found) for found in pages[:-1]} == {SIZE}


# The older SDK knows nothing of deleted vaults.
OLDER = [
    name for name, asked in ASKED.items() if asked[0] == "backup" and name != "deleted vaults"
]
SOURCE = {"source_region": "local", "source_backup_instance_id": INSTANCE_ID}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_older_sdk_has_each_item_once_and_in_order(
    world: ArmWorld, story: Story, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole = {name: [each["id"] for each in told(story, LISTS[name])["value"]] for name in OLDER}
    lists: dict[str, Any] = {name: ASKED[name][1:] for name in OLDER}
    across = {"crossRegionRestoreSettings": {"state": "Enabled"}}
    stores = [{"datastoreType": "VaultStore", "type": "GeoRedundant"}]
    settings = {"storageSettings": stores, "featureSettings": across}
    story.put(vault_id(), {"location": "local", "properties": settings})
    whole["second"] = whole["points"]
    monkeypatch.setattr(world, "at_second", {each.rpartition("/")[2] for each in whole["points"]})
    source = {"model": "FetchSecondaryRPsRequestParameters", "of": SOURCE}
    lists["second"] = ("fetch_secondary_recovery_points", "list", (GROUP, "local2", source))
    monkeypatch.setattr(page, "SIZE", SIZE)
    done = subprocess.run(
        [sys.executable, str(LISTER), way],
        env={
            **os.environ,
            "PYTHONPATH": str(fetch_older_sdk.fetch()),
            "ARM_URL": world.url,
            "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": APP,
            "AZURE_CLIENT_SECRET": SECRET,
            "REQUESTS_CA_BUNDLE": world.ca,
            "GROUP": GROUP,
            "SERVER": "unused",
            "LISTS": json.dumps(lists),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["version"] == "1.4.0"
    for name, pages in found["lists"].items():
        assert [each for ids in pages for each in ids] == whole[name], name
        assert len(pages) > 2, name
        assert {len(ids) for ids in pages[:-1]} == {SIZE}, name


@pytest.mark.usefixtures("short")
def test_what_comes_and_goes_meanwhile_moves_nothing_else(world: ArmWorld, story: Story) -> None:
    before = {name: everything(story, url) for name, url in LISTS.items()}
    begun = {name: told(story, url) for name, url in LISTS.items()}
    for name in ("a0", "z9"):
        add(world, story, name)
    # The last row of the first page, at which the second begins, is there no longer.
    gone = begun["vaults"]["value"][-1]["id"]
    assert story.http.delete(gone, params=VERSION).status_code == 200
    for name, first in begun.items():
        assert first["nextLink"].startswith(f"{world.url}/subscriptions/{SUBSCRIPTION}/")
        seen = [each["id"] for each in first["value"]]
        seen += everything(story, first["nextLink"])
        assert len(seen) == len(set(seen)), name
        assert set(before[name]) <= {*seen, gone}, name


def everything(story: Story, url: str) -> list[str]:
    found: list[str] = []
    while url:
        answer: httpx.Response = story.http.get(url, params=VERSION if "?" not in url else None)
        assert answer.status_code == 200, answer.text
        found += [each["id"] for each in answer.json()["value"]]
        url = answer.json().get("nextLink", "")
    return found


@pytest.mark.parametrize("name", LISTS)
def test_a_place_that_nobody_gave_is_refused(story: Story, name: str) -> None:
    for odd in ("x" * 10_000, "-1", "' or 1=1", "a\n", "../x", "%00", "1.", "☃" * 40):
        answer = story.http.get(LISTS[name], params={**VERSION, "$skipToken": odd})
        assert answer.status_code == 400, (odd, answer.text[:200])
        code = "InvalidRequestContent" if len(odd) > page.LONGEST else "BMSUserErrorInvalidInput"
        assert answer.json()["error"]["code"] == code, (odd, answer.text)


@pytest.mark.parametrize("name", ["groups", "resources", "all resources"])
def test_as_many_as_the_client_asks_for(story: Story, ask: Callable[..., Any], name: str) -> None:
    whole = [each["id"] for each in told(story, LISTS[name])["value"]]
    pages = [[each.id for each in found] for found in ask(name, top=3).by_page()]
    assert [each for found in pages for each in found] == whole
    assert {len(found) for found in pages[:-1]} == {3}
    for odd in ("0", "-1", "all", "1e9"):
        answer = story.http.get(LISTS[name], params={**VERSION, "$top": odd})
        assert answer.status_code == 400, (odd, answer.text)


def test_groups_of_a_tag(story: Story, ask: Callable[..., Any]) -> None:
    def named(wanted: str) -> list[str]:
        return [each.name for each in ask("groups", filter=wanted, top=2)]

    assert named("tagName eq 'of' and tagValue eq 'm3'") == ["m3"]
    assert set(named("tagname eq 'ALL'")) >= {f"m{number}" for number in range(5)}
    assert named("tagName eq 'of' and tagValue eq 'M3'") == []


@pytest.mark.parametrize("name", LISTS)
def test_no_list_ignores_a_filter(story: Story, name: str) -> None:
    odd = {**VERSION, "$filter": "colour eq 'red'"}
    answer = story.http.get(LISTS[name], params=odd)
    assert (answer.status_code, answer.json()["error"]["code"]) == (
        400,
        "BMSUserErrorInvalidInput",
    )


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("points", "startDate eq '2020-01-01T00:00:00+02:00' and endDate eq '2999-01-01'"),
        ("assignments", "atScope()"),
        ("groups", "tagName eq 'all' and tagValue eq 'x'"),
        ("resources", "resourceType eq 'Microsoft.DataProtection/backupVaults'"),
    ],
)
def test_a_filter_goes_from_page_to_page(
    story: Story, ask: Callable[..., Any], name: str, wanted: str
) -> None:
    pages = [[each.id for each in found] for found in ask(name, filter=wanted).by_page()]
    found = [each for part in pages for each in part]
    assert len(pages) > 2
    assert len(found) == len(set(found))
    every = everything(story, LISTS[name])
    assert set(found) <= set(every)
    if name == "resources":
        assert len(found) < len(every)
