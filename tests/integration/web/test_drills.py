"""Drills over the wire: who may asks for one, sees what was found, and releases what is held."""

import json
from typing import Any

import pytest

from arm_story import INSTANCE_ID, Story, add_point
from arm_world import VERSION, ArmWorld
from strongroom.catalog.points import drills, expiry_holds, recovery_points
from strongroom.catalog.tables.tables import instances
from strongroom.catalog.work import jobs
from strongroom.model.work.drill import Drill
from strongroom.model.work.job import JobStatus

POINT = f"{7:032x}"
HOME = f"{INSTANCE_ID}/recoveryPoints/{POINT}"
RESULT: dict[str, Any] = {"sourceVersion": 150019, "problems": ["a page is odd"]}


@pytest.fixture(scope="module")
def point(world: ArmWorld, story: Story) -> str:
    add_point(world, 7, "Full", 1000, {"version_number": 150019})
    return POINT


def instance_id(world: ArmWorld) -> str:
    with world.database.reading() as connection:
        return str(connection.execute(instances.select()).mappings().one()["id"])


def end_job(world: ArmWorld, job_id: str) -> None:
    with world.database.writing() as connection:
        jobs.end(connection, job_id, JobStatus.FAILED, world.clock.now(), error=None)


def test_a_drill_is_a_job_of_its_own_kind_with_what_is_to_be_found_true(
    world: ArmWorld, story: Story, point: str
) -> None:
    asked = {"assertions": [{"name": "all", "query": "select true", "database": "shop"}]}
    answer = story.http.post(f"{HOME}/drill", params=VERSION, json=asked)
    assert answer.status_code == 202
    told = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
    job_id = told["properties"]["jobId"].rpartition("/")[2]
    job = world.backup().jobs.get("backup-rg", "v1", job_id)
    assert job.properties.operation == "Drill"
    assert [task.task_name for task in job.properties.extended_info.sub_tasks] == [
        "Plan",
        "Restore and try",
    ]
    with world.database.reading() as connection:
        assert jobs.get(connection, job_id).order["assertions"] == asked["assertions"]
    assert story.http.post(f"{HOME}/drill", params=VERSION, json={}).status_code == 409
    end_job(world, job_id)


@pytest.mark.parametrize(
    "assertions",
    [
        "select true",
        [{"name": "x"}],
        [{"name": "x", "query": ""}],
        [{"name": "x", "query": "select true"}] * 101,
    ],
    ids=["a text", "no query", "an empty one", "too many"],
)
def test_assertions_that_are_none_are_refused(
    story: Story, point: str, assertions: object
) -> None:
    answer = story.http.post(f"{HOME}/drill", params=VERSION, json={"assertions": assertions})
    assert answer.status_code == 400
    assert "ssertion" in answer.json()["error"]["message"]


def test_what_was_found_is_listed_and_told_where_azures_client_looks(
    world: ArmWorld, story: Story, point: str
) -> None:
    instance, now = instance_id(world), world.clock.now()
    found = Drill(
        id="a-job",
        instance_id=instance,
        recovery_point_id=point,
        began_at=now,
        ended_at=now,
        verdict="Failed",
        result=RESULT,
        evidence_name=f"p/{point}.a-job.drill",
        evidence_blake3=b"x" * 32,
        evidence=b'{"body":{}}',
    )
    with world.database.writing() as connection:
        drills.add(connection, found)
        recovery_points.note_facts(connection, point, {"drill": {"verdict": "Failed"}})
        what = (expiry_holds.DRILL, "it failed its drill")
        expiry_holds.add(connection, instance, point, what, now)
    for address in (f"{HOME}/drills", f"{INSTANCE_ID}/drills"):
        (listed,) = story.get(address)["value"]
        assert listed["properties"]["result"] == RESULT
        assert listed["properties"]["evidence"] == found.evidence_name
        assert listed["properties"]["statement"] == {"body": {}}
    shown = world.backup().recovery_points.get("backup-rg", "v1", "pg1-inst", point)
    (store,) = shown.properties.recovery_point_data_stores_details
    assert json.loads(store.meta_data)["drill"] == {"verdict": "Failed"}
    ours = story.get(INSTANCE_ID)["properties"]["strongroom"]
    assert ours["lastDrill"]["verdict"] == "Failed"
    assert ours["expiryHeld"]["why"] == "it failed its drill"
    assert not ours["drillLate"], "no setting asks for drills"


def test_whoever_may_releases_what_holds_expiry_once(
    world: ArmWorld, story: Story, point: str
) -> None:
    answer = story.http.post(f"{INSTANCE_ID}/releaseExpiry", params=VERSION)
    assert answer.status_code == 202
    assert story.get(INSTANCE_ID)["properties"]["strongroom"]["expiryHeld"] is None
    again = story.http.post(f"{INSTANCE_ID}/releaseExpiry", params=VERSION)
    assert again.status_code == 400
