"""A job that is under way is cancelled by whoever may; one that has ended stays as it ended."""

import pytest

from arm_story import INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld, vault_id
from strongroom.catalog.tables.tables import jobs as job_rows
from strongroom.catalog.work import agent_operations, agents, jobs
from strongroom.control.work import agents as door
from strongroom.model.errors import Cancelled, LeaseLost
from strongroom.model.work.job import JobKind, JobStatus
from strongroom.model.work.operation import Completion, Failure, Heartbeat, Progress, ServerFacts


@pytest.fixture(scope="module")
def session(world: ArmWorld, story: Story) -> str:
    with world.database.writing() as connection:
        agents.begin_session(connection, story.agent, "session")
    return "session"


def begun(story: Story) -> str:
    """A backup's job; its story does nothing here."""
    rule = {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
    told = story.outcome(f"{INSTANCE_ID}/backup", rule)
    return str(told["properties"]["jobId"].rpartition("/")[2])


def cancel(story: Story, job: str) -> int:
    address = f"{vault_id()}/backupJobs/{job}/cancel"
    return story.http.post(address, params=VERSION).status_code


def offered(world: ArmWorld, story: Story, job: str) -> None:
    with world.database.writing() as connection:
        row = {"id": job, "job_id": job, "workflow_id": f"job:{job}", "agent_id": story.agent}
        row |= {"kind": "backup", "created_at": world.clock.now()}
        order = {"instanceId": "i", "server": "main"}
        agent_operations.offer(connection, {**row, "order": order})
        agent_operations.lease(
            connection, story.agent, "session", world.clock.now(), world.clock.now().add(hours=1)
        )


def test_one_that_no_agent_has_begun_ends_at_once_and_once(world: ArmWorld, story: Story) -> None:
    job = begun(story)
    client = world.backup().jobs
    assert client.get("backup-rg", "v1", job).properties.supported_actions == ["Cancel"]
    assert cancel(story, job) == 202
    assert cancel(story, job) == 202
    found = client.get("backup-rg", "v1", job).properties
    assert (found.status, found.supported_actions) == ("Cancelled", [""])
    assert found.error_details[0].message == "the job was cancelled"
    assert {task.task_status for task in found.extended_info.sub_tasks} == {"Skipped"}
    with world.database.reading() as connection:
        assert (
            jobs.running(connection, jobs.get(connection, job).instance_id, JobKind.BACKUP) is None
        )


def test_an_agent_at_work_is_told_with_its_next_heartbeat_and_its_result_is_not_taken(
    world: ArmWorld, story: Story, session: str
) -> None:
    job = begun(story)
    offered(world, story, job)
    beat = Heartbeat(epoch=1, progress=Progress(step="Reading"))
    assert not door.heartbeat(world.control, story.agent, job, beat).cancel
    assert cancel(story, job) == 202
    assert door.heartbeat(world.control, story.agent, job, beat).cancel
    done = Completion(epoch=1, check=ServerFacts(name="main", ready=True))
    with pytest.raises(LeaseLost):
        door.complete_operation(world.control, story.agent, job, done)
    stopped = Cancelled("the operation was cancelled").to_dict()
    failure = Failure(epoch=1, error=stopped, retryable=False)
    door.fail_operation(world.control, story.agent, job, failure)
    with world.database.reading() as connection:
        assert agent_operations.get(connection, job)["status"] == "cancelled"
    assert cancel(story, job) == 202


def test_what_has_ended_or_will_by_itself_is_left_alone(
    world: ArmWorld, story: Story, session: str
) -> None:
    with world.database.writing() as connection:
        ended = job_rows.c.status == JobStatus.IN_PROGRESS.value
        connection.execute(job_rows.update().where(ended).values(status="Cancelled"))
    job = begun(story)
    offered(world, story, job)
    done = Completion(epoch=1, check=ServerFacts(name="main", ready=True))
    door.complete_operation(world.control, story.agent, job, done)
    assert cancel(story, job) == 409, "it is being committed"
    with world.database.writing() as connection:
        jobs.end(connection, job, JobStatus.COMPLETED, world.clock.now())
    assert cancel(story, job) == 409
    told = story.outcome(f"{INSTANCE_ID}/collectGarbage", {"dryRun": True})
    assert cancel(story, told["properties"]["jobId"].rpartition("/")[2]) == 409
    assert cancel(story, "0" * 32) == 404


@pytest.mark.parametrize(
    ("in_place", "left"),
    [(True, "the next restore with --in-place"), (False, "rm -r '/srv/new place'")],
)
def test_a_restore_that_an_agent_had_begun_tells_what_it_may_leave(
    world: ArmWorld, story: Story, session: str, in_place: bool, left: str
) -> None:
    job = begun(story)
    offered(world, story, job)
    order = {"target_directory": "/srv/new place", "in_place": in_place}
    with world.database.writing() as connection:
        mine = job_rows.c.id == job
        connection.execute(job_rows.update().where(mine).values(kind="Restore", order=order))
    assert cancel(story, job) == 202
    with world.database.reading() as connection:
        told = agent_operations.get(connection, job)
    assert told is not None
    assert left in told["error"]["hint"]
