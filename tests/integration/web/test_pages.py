"""Long lists come in pages: all of it, once each, in their order."""

import csv
import json
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from arm_story import GROUP_ID, INSTANCE_ID, Story
from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, vault_id
from strongroom.catalog.tables.tables import instances, jobs, servers

COUNT = 230
JOBS = f"{vault_id()}/backupJobs"
TWICE = [
    f"{name} eq '1' and {name} eq '2'"
    for name in ("status", "startDate", "principalId", "roleName", "resourceType")
]


@pytest.fixture(scope="module")
def many(world: ArmWorld, story: Story) -> list[str]:
    """So many servers and instances beside the first one, and a job of each; ids of the jobs."""
    now = world.clock.now()
    with world.database.writing() as connection:
        server = dict(connection.execute(servers.select()).mappings().one())
        instance = dict(connection.execute(instances.select()).mappings().one())
        numbers = range(COUNT)
        names = [f"S{number:03}" for number in numbers]
        told = [
            {"id": f"s{n}", "name": name, "name_key": name.lower(), "agent_server": name}
            for n, name in enumerate(names)
        ]
        connection.execute(servers.insert(), [server | each for each in told])
        told = [
            {"id": f"{n:032x}", "name": name, "name_key": name.lower(), "server_id": f"s{n}"}
            for n, name in enumerate(names)
        ]
        connection.execute(instances.insert(), [instance | each for each in told])
        rows = [
            {
                "id": f"{SUBSCRIPTION[:24]}{number:012x}",
                "vault_id": instance["vault_id"],
                "instance_id": f"{number:032x}",
                "kind": "Backup",
                "status": "Failed" if number % 10 == 0 else "Completed",
                # seven at a time: what began at once is told apart by its id
                "started_at": now.add(hours=-(number // 7)),
                "ended_at": now,
                "rule_name": "BackupWeekly",
                "tag": "Default",
                "user_triggered": False,
                "requested_by": "",
                "order": {},
                "progress": {"step": "Completed"},
                "sub_tasks": [],
                "warnings": [],
            }
            for number in numbers
        ]
        connection.execute(jobs.insert(), rows)
    newest = sorted(rows, key=lambda row: (row["started_at"], row["id"]), reverse=True)
    return [str(row["id"]) for row in newest]


def test_all_instances_are_listed_by_name(world: ArmWorld, many: list[str]) -> None:
    listed = [found.name for found in world.backup().backup_instances.list(GROUP, "v1")]
    assert listed == ["pg1-inst", *(f"S{number:03}" for number in range(COUNT))]


def test_all_jobs_are_listed_newest_first(world: ArmWorld, many: list[str]) -> None:
    assert [found.name for found in world.backup().jobs.list(GROUP, "v1")] == many


def test_a_filter_goes_with_the_pages(story: Story, many: list[str]) -> None:
    failed = {**VERSION, "$filter": "status eq 'failed' and operation eq 'Backup'"}
    told = story.http.get(JOBS, params=failed).json()
    assert len(told["value"]) == COUNT // 10
    assert {job["properties"]["status"] for job in told["value"]} == {"Failed"}
    for name, count in (("s010", 1), ("S011", 0)):
        of_one = {**VERSION, "$filter": f"backupInstance eq '{name}' and status eq 'Failed'"}
        found = story.http.get(JOBS, params=of_one).json()["value"]
        names = [job["properties"]["backupInstanceFriendlyName"] for job in found]
        assert names == ["S010"] * count
    rest = {**VERSION, "$filter": "status eq 'Completed'"}
    first = story.http.get(JOBS, params=rest).json()
    after = story.http.get(first["nextLink"]).json()
    last = story.http.get(after["nextLink"]).json()
    pages = [first, after, last]
    assert [len(page["value"]) for page in pages] == [100, 100, COUNT - COUNT // 10 - 200]
    assert {job["properties"]["status"] for job in last["value"]} == {"Completed"}


@pytest.mark.parametrize(
    "of",
    [
        JOBS,
        f"{INSTANCE_ID}/recoveryPoints",
        f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments",
        f"{GROUP_ID}/providers/Microsoft.Authorization/roleDefinitions",
        f"{GROUP_ID}/resources",
    ],
)
def test_a_filter_that_is_not_read_is_refused_and_what_is_read_is_told(
    story: Story, of: str
) -> None:
    for odd in ("colour eq 'red'", "status ne 'Failed'", "startDate eq 'x' or 1 eq 1", *TWICE):
        told = story.http.get(of, params={**VERSION, "$filter": odd})
        error = told.json()["error"]
        assert (told.status_code, error["code"]) == (400, "BMSUserErrorInvalidInput"), told.text
        assert " eq '" in error["additionalInfo"][0]["info"]["recommendedAction"][0]


def test_jobs_are_exported_as_they_are_listed_and_as_a_table(
    world: ArmWorld, story: Story, many: list[str]
) -> None:
    with world.backup() as client:
        answers: list[Any] = []
        client.export_jobs.begin_trigger(
            GROUP, "v1", raw_response_hook=lambda told: answers.append(told.http_response)
        ).result()
        where = answers[0].headers["Location"].split("?")[0].rpartition("/")[2]
        told = client.export_jobs_operation_result.get(GROUP, "v1", where)
        with pytest.raises(ResourceNotFoundError):
            client.export_jobs_operation_result.get(GROUP, "v2", where)
    assert told.blob_sas_key == told.excel_file_blob_sas_key == "?sig=x"
    names = [url.partition("/exports/")[2] for url in (told.blob_url, told.excel_file_blob_url)]
    listed = json.loads(world.published[names[0]])
    assert [job["name"] for job in listed] == many
    rows = list(csv.reader(world.published[names[1]].decode("utf-8-sig").splitlines()))
    assert [row[0] for row in rows] == ["id", *many]
    assert {row[1] for row in rows[1:]} == {"Backup"}


@pytest.mark.parametrize(
    ("list_", "place"),
    [
        ("backupJobs", JOBS),
        ("backupInstances", f"{vault_id()}/backupInstances"),
    ],
)
def test_the_next_page_is_named_as_things_are_called_however_the_first_was_asked_for(
    story: Story, many: list[str], list_: str, place: str
) -> None:
    asked = vault_id("V1", GROUP.upper()).replace("resourceGroups", "RESOURCEGROUPS")
    first = story.http.get(f"{asked}/{list_.lower()}", params=VERSION).json()
    after = first["nextLink"]
    assert after.partition("?")[0] == f"{story.world.url}{place}"
    assert len(story.http.get(after).json()["value"]) == 100


@pytest.mark.parametrize(
    "odd", ["x", "12", "1.", ".a", "9" * 19 + ".a", "-" * 9 + ".a", "9" * 201]
)
def test_a_token_that_is_no_place_in_the_list_is_refused(
    story: Story, many: list[str], odd: str
) -> None:
    told = story.http.get(JOBS, params={**VERSION, "$skipToken": odd})
    assert told.status_code == 400, told.text
