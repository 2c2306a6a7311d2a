"""The care of storage over the wire: who asks learns what is wrong, and may begin a collection."""

import json
from typing import Any

import pytest
from whenever import Instant

from arm_story import INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld
from strongroom.catalog.points import storage_findings
from strongroom.catalog.tables.tables import instances, recovery_points

POINT = "a" * 32


def collect(story: Story, **wishes: object) -> tuple[int, dict[str, object]]:
    """Status and body of the answer to a wish to collect."""
    answer = story.http.post(f"{INSTANCE_ID}/collectGarbage", params=VERSION, json=wishes)
    return answer.status_code, answer.json() if answer.content else {}


def test_what_is_wrong_in_storage_is_listed_by_object(world: ArmWorld, story: Story) -> None:
    assert story.get(f"{INSTANCE_ID}/storageFindings") == {"value": []}
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()["id"]
        what = ("p/1.receipt", "the receipt is not signed by this vault")
        now = world.clock.now()
        storage_findings.add(connection, instance, "quarantined", what, now)
    (found,) = story.get(f"{INSTANCE_ID}/storageFindings")["value"]
    assert (found["name"], found["problem"]) == what
    assert found["kind"] == "quarantined"


def test_a_collection_is_a_job_of_its_own_kind(world: ArmWorld, story: Story) -> None:
    assert collect(story, dryRun=True)[0] == 202
    jobs = [job.properties.operation for job in world.backup().jobs.list("backup-rg", "v1")]
    assert "CollectGarbage" in jobs


def test_a_verification_is_a_job_of_its_own_kind_and_of_a_point_that_is(
    world: ArmWorld, story: Story
) -> None:
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()
        connection.execute(recovery_points.insert(), [a_point(instance)])
    home = f"{INSTANCE_ID}/recoveryPoints"
    answer = story.http.post(f"{home}/{POINT}/verify", params=VERSION)
    assert answer.status_code == 202
    assert story.http.post(f"{home}/{'0' * 32}/verify", params=VERSION).status_code == 404
    told = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
    job_id = told["properties"]["jobId"].rpartition("/")[2]
    job = world.backup().jobs.get("backup-rg", "v1", job_id)
    assert job.properties.operation == "Verify"
    assert [task.task_name for task in job.properties.extended_info.sub_tasks] == [
        "Plan",
        "Read and check",
    ]
    (found,) = story.get(home)["value"]
    (store,) = found["properties"]["recoveryPointDataStoresDetails"]
    assert json.loads(store["metaData"])["verifiedAt"] == "2026-01-01T00:00:00Z"


def a_point(instance: Any) -> dict[str, Any]:
    at = Instant.parse_iso("2026-01-01T00:00:00Z")
    return {
        "id": POINT,
        "instance_id": instance["id"],
        "job_id": "job",
        "kind": "Full",
        "taken_at": at,
        "committed_at": at,
        "expires_at": at.add(hours=24),
        "tag": "Default",
        "policy_id": instance["policy_id"],
        "policy_version": 1,
        "generation": "g",
        "manifest_size": 1,
        "manifest_blake3": b"x" * 32,
        "raw_bytes": 10,
        "stored_bytes": 5,
        "facts": {"verified_at": "2026-01-01T00:00:00Z"},
        "state": "Completed",
    }


@pytest.mark.parametrize("days", [0, 0.5, -1, 1e9, "7", True])
def test_a_grace_that_is_no_number_of_days_is_refused(story: Story, days: object) -> None:
    status, body = collect(story, graceDays=days)
    assert status == 400
    assert body["error"]
