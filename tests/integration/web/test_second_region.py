"""Azure's operations of the second region: switched on for good, and every kind of restore."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.mgmt.dataprotection.models import (
    CrossRegionRestoreJobsRequest,
    FetchSecondaryRPsRequestParameters,
)

from arm_story import GROUP_ID, INSTANCE_ID, Story, add_point
from arm_world import GROUP, VERSION, ArmWorld, server_id, vault_id
from strongroom.catalog.tables.tables import jobs
from strongroom.control.overview import alerts
from strongroom.model import page
from strongroom.model.identities.access import Caller

LOCATIONS = f"{GROUP_ID}/providers/Microsoft.DataProtection/locations"
FACTS = {"version_number": 140005, "databases": {"shop": 1}}
PHYSICAL, LOGICAL, ELSEWHERE = (f"{number:032x}" for number in (1, 2, 3))
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a server": (PHYSICAL, {"targetDirectory": "/srv/new", "start": True, "port": 5433}),
    "in place": (PHYSICAL, {"inPlace": True, "targetDirectory": "/srv/data"}),
    "a table as a file": (
        PHYSICAL,
        {"targetDirectory": "/srv/out", "part": {"database": "shop", "table": "t"}},
    ),
    "a table into a server": (
        PHYSICAL,
        {"part": {"database": "shop", "table": "t", "targetServer": "pg1", "rename": "then"}},
    ),
    "all as files": (PHYSICAL, {"targetDirectory": "/srv/out", "part": {"database": ""}}),
    "a load": (LOGICAL, {"load": {"targetServer": "pg1", "databases": {"shop": "shop2"}}}),
    "a database into a server": (LOGICAL, {"part": {"database": "shop", "targetServer": "pg1"}}),
}


@pytest.fixture(scope="module", autouse=True)
def points(world: ArmWorld, story: Story) -> None:
    for number, kind in enumerate(("Full", "Logical", "Full"), 1):
        add_point(world, number, kind, 1 << 20, FACTS)
    world.agent_says(story.agent, "main", databases={"shop": 1}, versionNumber=180001)
    world.at_second = {PHYSICAL, LOGICAL}


def post(
    story: Story, name: str, body: dict[str, Any], location: str = "local2"
) -> httpx.Response:
    return story.http.post(f"{LOCATIONS}/{location}/{name}", params=VERSION, json=body)


def listed(story: Story) -> httpx.Response:
    asked = {"sourceRegion": "local", "sourceBackupInstanceId": INSTANCE_ID}
    return post(story, "fetchSecondaryRecoveryPoints", asked)


def wish(point: str, **more: Any) -> dict[str, Any]:
    target = {"objectType": "RestoreTargetInfo", "strongroom": more}
    return {"recoveryPointId": point, "restoreTargetInfo": target}


def crossing(request: dict[str, Any]) -> dict[str, Any]:
    details = {"sourceRegion": "local", "sourceBackupInstanceId": INSTANCE_ID}
    return {"restoreRequestObject": request, "crossRegionRestoreDetails": details}


def patch(story: Story, **features: str) -> httpx.Response:
    settings = {f"{name}Settings": {"state": state} for name, state in features.items()}
    body = {"properties": {"featureSettings": settings}}
    return story.http.patch(vault_id(), params=VERSION, json=body)


def order_of(world: ArmWorld, job_id: str) -> dict[str, Any]:
    query = jobs.select().where(jobs.c.id == job_id.rpartition("/")[2])
    with world.database.reading() as connection:
        return dict(connection.execute(query).mappings().one()["order"])


def test_nothing_crosses_regions_before_it_is_switched_on_and_it_stays_on(story):
    for answer in (
        listed(story),
        post(story, "crossRegionRestore", crossing(wish(PHYSICAL, targetDirectory="/srv/new"))),
        post(story, "fetchCrossRegionRestoreJobs", {"sourceBackupVaultId": vault_id()}),
    ):
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "UserErrorCrossRegionRestoreNotEnabled"
        assert "vault set --cross-region-restore" in answer.text
    refused = patch(story, crossRegionRestore="Enabled")
    assert (refused.status_code, "GeoRedundant" in refused.text) == (400, True)
    stores = [{"datastoreType": "VaultStore", "type": "GeoRedundant"}]
    geo = {"location": "local", "properties": {"storageSettings": stores}}
    story.put(vault_id(), geo)
    assert patch(story, crossRegionRestore="Enabled").status_code == 200
    told = story.get(vault_id())["properties"]
    assert told["featureSettings"]["crossRegionRestoreSettings"] == {"state": "Enabled"}
    refused = patch(story, crossRegionRestore="Disabled")
    assert refused.status_code == 409
    assert "cannot be taken back" in refused.text
    stores[0]["type"] = "LocallyRedundant"
    answer = story.http.put(vault_id(), params=VERSION, json=geo)
    assert answer.status_code == 400
    assert listed(story).status_code == 200


def test_what_the_second_has_is_listed_and_the_rest_is_refused_before_it_begins(story):
    assert {each["name"] for each in listed(story).json()["value"]} == {PHYSICAL, LOGICAL}
    body = crossing(wish(ELSEWHERE, targetDirectory="/srv/new"))
    for operation in ("validateCrossRegionRestore", "crossRegionRestore"):
        answer = post(story, operation, body)
        assert answer.status_code == 400
        assert "not at the second endpoint yet" in answer.text
    answer = post(story, "crossRegionRestore", body, "local3")
    assert "is not the second region" in answer.text
    assert listed(story).json()["value"] != []


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_from_the_second_is_the_same_order_with_another_source(world, story, kind):
    point, more = KINDS[kind]
    request = wish(point, **more)
    ordinary = story.outcome(f"{INSTANCE_ID}/restore", request)
    assert ordinary["status"] == "Succeeded", ordinary
    url = f"{LOCATIONS}/local2"
    valid = story.outcome(f"{url}/validateCrossRegionRestore", crossing(request))
    assert valid["status"] == "Succeeded", valid
    across = story.outcome(f"{url}/crossRegionRestore", crossing(request))
    first = order_of(world, ordinary["properties"]["jobId"])
    second = order_of(world, across["properties"]["jobId"])
    assert (first.pop("second"), second.pop("second")) == (False, True)
    assert first == second
    asked = {"sourceBackupVaultId": vault_id()}
    told = post(story, "fetchCrossRegionRestoreJobs", asked).json()["value"]
    names = {each["name"]: each["properties"]["isCrossRegionRestore"] for each in told}
    assert names[across["properties"]["jobId"].rpartition("/")[2]] is True
    assert ordinary["properties"]["jobId"].rpartition("/")[2] not in names


def by_azures_client(world: ArmWorld, story: Story) -> list[list[str]]:
    """It asks for the next page with GET, and without the body."""
    asked = FetchSecondaryRPsRequestParameters(
        source_region="local", source_backup_instance_id=INSTANCE_ID
    )
    found = world.backup().fetch_secondary_recovery_points.list(GROUP, "local2", asked)
    return [[each.name for each in told] for told in found.by_page()]


def by_the_token(world: ArmWorld, story: Story) -> list[list[str]]:
    """With the same body again."""
    asked, token, found = {"sourceBackupInstanceId": INSTANCE_ID}, "", []
    while True:
        url = f"{LOCATIONS}/local2/fetchSecondaryRecoveryPoints"
        told = story.http.post(url, params={**VERSION, "$skipToken": token}, json=asked).json()
        found.append([each["name"] for each in told["value"]])
        if "nextLink" not in told:
            return found
        token = parse_qs(urlsplit(told["nextLink"]).query)["$skipToken"][0]


def test_points_of_the_second_come_page_after_page(world, story, monkeypatch):
    numbers = range(0x10, 0x1A)
    for number in numbers:
        add_point(world, number, "Full", 1 << 20, FACTS)
    there = {PHYSICAL, LOGICAL, *(f"{number:032x}" for number in numbers if number % 3)}
    monkeypatch.setattr(world, "at_second", there)
    whole = [each["name"] for each in listed(story).json()["value"]]
    assert set(whole) == there
    monkeypatch.setattr(page, "SIZE", 3)
    for client in by_azures_client, by_the_token:
        pages = client(world, story)
        assert [name for each in pages for name in each] == whole
        assert {len(each) for each in pages[:-1]} == {3}


def test_a_page_of_the_second_may_come_and_go(world, story, monkeypatch):
    monkeypatch.setattr(page, "SIZE", 2)
    monkeypatch.setattr(world, "at_second", {PHYSICAL, LOGICAL, ELSEWHERE})
    between = "startDate eq '2020-01-01'"
    asked = {"sourceRegion": "local", "sourceBackupInstanceId": INSTANCE_ID}
    url = f"{LOCATIONS}/local2/fetchSecondaryRecoveryPoints"
    first = story.http.post(url, params={**VERSION, "$filter": between}, json=asked).json()
    assert "startDate" in first["nextLink"]
    world.at_second.discard(first["value"][-1]["name"])
    (rest,) = story.http.get(first["nextLink"]).json()["value"]
    assert rest["name"] not in {each["name"] for each in first["value"]}
    stranger = world.principal("second-nobody", [])
    with world.http(world.token(*stranger[1:])) as nobody:
        assert nobody.get(first["nextLink"]).status_code == 404


def test_a_filter_and_a_page_of_the_second_region_are_read(story):
    asked = {"sourceRegion": "local", "sourceBackupInstanceId": INSTANCE_ID}
    points = f"{LOCATIONS}/local2/fetchSecondaryRecoveryPoints"

    def found(url: str, body: dict[str, Any], **more: str) -> list[str]:
        query = VERSION | {f"${name}": text for name, text in more.items()}
        answer = story.http.post(url, params=query, json=body)
        if answer.status_code != 200:
            return [answer.json()["error"]["code"]]
        return sorted(each["name"] for each in answer.json()["value"])

    assert found(points, asked, filter="startDate eq '2020-01-01'") == [PHYSICAL, LOGICAL]
    assert found(points, asked, filter="endDate eq '2020-01-01T00:00:00Z'") == []
    assert found(points, asked, filter="colour eq 'red'") == ["BMSUserErrorInvalidInput"]
    assert found(points, asked, skipToken="a.1") == ["BMSUserErrorInvalidInput"]
    jobs_of, vault = (
        f"{LOCATIONS}/local2/fetchCrossRegionRestoreJobs",
        {"sourceBackupVaultId": vault_id()},
    )
    every = found(jobs_of, vault)
    assert len(every) == len(KINDS)
    assert found(jobs_of, vault, filter="operation eq 'Restore'") == every
    assert found(jobs_of, vault, filter="status eq 'Failed' and operation eq 'Restore'") == []
    assert found(jobs_of, vault, filter="operation eq 'Backup'") == []
    assert found(jobs_of, vault, filter="colour eq 'red'") == ["BMSUserErrorInvalidInput"]


def test_a_restore_is_found_behind_a_thousand_younger_jobs(world, story, monkeypatch):
    asked = {"sourceBackupVaultId": vault_id()}
    client = world.backup().fetch_cross_region_restore_jobs

    def found(size: int = 0) -> list[str]:
        if size:
            monkeypatch.setattr(page, "SIZE", size)
        body = CrossRegionRestoreJobsRequest(
            source_region="local", source_backup_vault_id=vault_id()
        )
        pages = [
            [each.name for each in told] for told in client.list(GROUP, "local2", body).by_page()
        ]
        assert not size or {len(each) for each in pages[:-1]} == {size}
        return [name for each in pages for name in each]

    before = found()
    with world.database.writing() as connection:
        row = dict(connection.execute(jobs.select()).mappings().first())
        later = {"kind": "Backup", "order": {}, "started_at": world.clock.now().add(hours=1)}
        rows = [row | later | {"id": f"{number:036x}"} for number in range(1001)]
        connection.execute(jobs.insert(), rows)
    assert found() == found(3) == before
    one = {**asked, "jobId": before[0]}
    assert post(story, "fetchCrossRegionRestoreJob", one).json()["name"] == before[0]
    one = {**asked, "jobId": rows[0]["id"]}
    assert post(story, "fetchCrossRegionRestoreJob", one).status_code == 404


def test_a_source_in_another_region_is_refused(story):
    where = {"sourceRegion": "elsewhere", "sourceBackupInstanceId": INSTANCE_ID}
    details = crossing(wish(PHYSICAL, targetDirectory="/srv/new"))
    vault = {"sourceRegion": "elsewhere", "sourceBackupVaultId": vault_id()}
    for name, body in (
        ("crossRegionRestore", {**details, "crossRegionRestoreDetails": where}),
        ("validateCrossRegionRestore", {**details, "crossRegionRestoreDetails": where}),
        ("fetchSecondaryRecoveryPoints", where),
        ("fetchCrossRegionRestoreJobs", vault),
        ("fetchCrossRegionRestoreJob", {**vault, "jobId": "0" * 32}),
    ):
        error = post(story, name, body).json()["error"]
        assert error["code"] == "BMSUserErrorInvalidInput", name
        assert "'elsewhere' is not the region of vault v1" in error["message"]
        assert "send local" in error["additionalInfo"][0]["info"]["recommendedAction"][0]
    asked = {"sourceRegion": "Lo cal", "sourceBackupInstanceId": INSTANCE_ID}
    assert post(story, "fetchSecondaryRecoveryPoints", asked).status_code == 200


def test_a_server_in_the_url_of_the_source_is_not_an_instance(story):
    body = {"sourceRegion": "local", "sourceBackupInstanceId": vault_id()}
    assert "names no instance" in post(story, "fetchSecondaryRecoveryPoints", body).text
    assert server_id() not in listed(story).text


def test_other_subscriptions_are_shut_off_for_good(story):
    assert patch(story, crossSubscriptionRestore="PermanentlyDisabled").status_code == 200
    refused = patch(story, crossSubscriptionRestore="Enabled")
    assert (refused.status_code, "cannot be taken back" in refused.text) == (409, True)


def test_a_copy_that_falls_behind_is_an_alert_until_it_has_caught_up(world):
    caller = Caller(principal_id=world.owner_id)

    def told() -> list[tuple[str, str, bool]]:
        alerts.settle_alerts(world.control)
        found = [
            each for each in alerts.list_alerts(world.control, caller) if each.key == "second"
        ]
        return [(each.severity, each.words, each.ended_at is None) for each in found]

    world.second_tells = {"lagSeconds": 60}
    assert told() == []
    world.second_tells = {"lagSeconds": 90_000, "damagedObjects": 1}
    words = "Found: 1500 min behind, 1 objects are damaged there."
    assert told() == [("warning", words, True)]
    world.second_tells = {"lagSeconds": 5}
    assert told() == [("warning", words, False)]
