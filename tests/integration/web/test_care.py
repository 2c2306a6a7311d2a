"""The care of storage over the wire: who asks learns what is wrong, and may begin a collection."""

import pytest

from arm_story import INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld
from strongroom.catalog import storage_findings
from strongroom.catalog.tables import instances


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


@pytest.mark.parametrize("days", [0, 0.5, -1, 1e9, "7", True])
def test_a_grace_that_is_no_number_of_days_is_refused(story: Story, days: object) -> None:
    status, body = collect(story, graceDays=days)
    assert status == 400
    assert body["error"]
