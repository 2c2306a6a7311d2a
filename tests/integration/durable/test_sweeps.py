"""The sweeps over real rows and stories: nothing stays "in progress" that nobody works for."""

import threading
from collections.abc import Iterator
from uuid import RFC_4122, UUID

import pytest
import sqlalchemy as sa
from whenever import Instant

from catalogue_world import SUBSCRIPTION
from integration.durable.sweep_world import SweepWorld
from strongroom.catalog.installation import executors
from strongroom.catalog.protection import instances, protection, schedules
from strongroom.catalog.resources import operations
from strongroom.catalog.tables.tables import agent_operations as agent_rows
from strongroom.catalog.tables.tables import audit as audit_rows
from strongroom.catalog.tables.tables import enrol_tokens as token_rows
from strongroom.catalog.tables.tables import executors as executor_rows
from strongroom.catalog.tables.tables import operations as operation_rows
from strongroom.catalog.tables.tables import policies
from strongroom.catalog.work import agent_operations, jobs
from strongroom.catalog.work import agents as agent_tokens
from strongroom.control.points import backups
from strongroom.control.points.backups import scheduled_job_id
from strongroom.control.protection import scheduling
from strongroom.control.work import agents, orphans
from strongroom.control.work.forgetting import KEEP_DAYS, forget_ended
from strongroom.durable.engine import Story
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import Invalid
from strongroom.model.ids import AgentId, InstanceId
from strongroom.model.work.job import JobKind, JobStatus
from strongroom.model.work.operation import Heartbeat, Progress
from strongroom.workflows.care.sweeps import Sweeps

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
NOTHING = {
    "operations": 0,
    "job_samples": 0,
    "agent_operations": 0,
    "enrol_tokens": 0,
    "stories": 0,
}


@pytest.fixture
def world(url: str) -> Iterator[SweepWorld]:
    found = SweepWorld(url)
    yield found
    found.close()


@pytest.fixture
def sweeps(world: SweepWorld) -> Sweeps:
    return Sweeps(world.control, "a")


def meet_a_bug(story: Story) -> None:
    raise KeyError(story.id)


def refuse(story: Story) -> None:
    raise Invalid("what was asked makes no sense")


def fails(world: SweepWorld) -> int:
    with world.database.reading() as connection:
        query = sa.select(sa.func.count()).where(audit_rows.c.action == "job/fail")
        return int(connection.execute(query).scalar() or 0)


def end_in(world: SweepWorld, how: str) -> str:
    """A backup whose story has ended in this way -> the job."""
    world.tell = {"bug": meet_a_bug, "error": refuse, "cancelled": world.hold}.get(how, world.tell)
    job = world.fire()
    assert job is not None
    story = f"job:{job}"
    if how == "cancelled":
        assert world.told.wait(30)
        world.engine.cancel(story)
        world.gate.set()
    world.wait_for_end(story)
    if how == "forgotten":
        assert world.engine.forget(world.clock.now()) == 1
    return job


@pytest.mark.parametrize("how", ["bug", "error", "cancelled", "forgotten", "silent"])
def test_a_job_whose_story_has_ended_without_a_word_fails_loudly(
    world: SweepWorld, how: str
) -> None:
    job = end_in(world, how)
    assert world.fire() is None
    assert orphans.end_orphans(world.control) == [job]
    found = world.job(job)
    assert found.status is JobStatus.FAILED
    assert found.error
    assert found.error["message"]
    assert found.error["hint"]
    assert fails(world) == 1
    assert orphans.end_orphans(world.control) == []
    assert fails(world) == 1
    assert world.fire() is not None


def test_what_runs_is_queued_or_was_asked_for_just_now_is_left_alone(world: SweepWorld) -> None:
    world.tell = world.hold
    first = world.fire()
    assert first is not None
    assert orphans.end_orphans(world.control) == []
    assert world.told.wait(30)
    assert orphans.end_orphans(world.control) == []
    queued = world.queue()
    assert orphans.end_orphans(world.control) == []
    assert world.job(first).status is JobStatus.IN_PROGRESS
    assert world.job(queued).status is JobStatus.IN_PROGRESS


def test_a_job_that_ends_while_it_is_looked_at_stays_as_it_ended(world: SweepWorld) -> None:
    """Its story is over and its row is not yet read again: the row has the last word."""
    job = end_in(world, "silent")
    with world.database.writing() as connection:
        jobs.end(connection, job, JobStatus.COMPLETED, world.clock.now())
    assert orphans.end_orphans(world.control) == []
    assert world.job(job).status is JobStatus.COMPLETED


def test_two_control_planes_that_sweep_at_once_fail_a_job_once(world: SweepWorld) -> None:
    job = end_in(world, "bug")
    begin, ended = threading.Barrier(4), []

    def sweep() -> None:
        begin.wait()
        ended.extend(orphans.end_orphans(world.control))

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [job]
    assert fails(world) == 1


def an_operation(world: SweepWorld, job: str | None) -> None:
    """Leased by the agent."""
    with world.database.writing() as connection:
        row = {"id": job or "alone", "job_id": job, "agent_id": "agent-id", "kind": "check"}
        order = {"order": {}, "created_at": world.clock.now()}
        agent_operations.offer(connection, {**row, **order})
        until_then = world.clock.now().add(hours=1)
        leased = agent_operations.lease(connection, "agent-id", "s", world.clock.now(), until_then)
        assert leased is not None


def test_the_agent_is_told_to_stop_when_nobody_waits_for_it(world: SweepWorld) -> None:
    job = end_in(world, "bug")
    an_operation(world, job)
    beat = Heartbeat(epoch=1, progress=Progress(step="x"))
    assert not agents.heartbeat(world.control, AgentId("agent-id"), job, beat).cancel
    orphans.end_orphans(world.control)
    assert agents.heartbeat(world.control, AgentId("agent-id"), job, beat).cancel


def test_protection_whose_story_met_a_bug_fails_and_may_be_tried_again(
    world: SweepWorld,
) -> None:
    vault = VaultRef(resource_group="rg-1", name="v-1")
    scope = instance_id_of(SUBSCRIPTION, vault, "I-1")
    row = {"id": "op", "kind": "backupInstance", "resource_id": scope, "status": "Inprogress"}
    row |= {"principal_id": "me", "started_at": world.clock.now()}
    with world.database.writing() as connection:
        protection.set_state(connection, world.instance, "ConfiguringProtection")
        operations.add(connection, row)
        story = ("configure-protection", "configure:op", world.instance, "op")
        world.engine.enqueue(connection, *story)
    world.wait_for_end("configure:op")
    assert orphans.end_orphans(world.control) == ["op"]
    assert orphans.end_orphans(world.control) == []
    with world.database.reading() as connection:
        ended = operations.get(connection, "op")
        found = instances.find(connection, "id-of-V-1", "i-1")
    assert ended is not None
    assert ended["status"] == "Failed"
    assert found is not None
    assert (found["state"], found["error"]) == ("ConfiguringProtectionFailed", ended["error"])


def left(world: SweepWorld, table: sa.Table, key: str = "id") -> list[str]:
    with world.database.reading() as connection:
        return list(connection.execute(sa.select(table.c[key]).order_by(table.c[key])).scalars())


def add_enrol_tokens(connection: sa.Connection, now: Instant) -> None:
    """One that is used, one that nobody used in time, one that is good for years."""
    for name, until_then in (
        ("used", now.add(hours=24)),
        ("late", now),
        ("fresh", now.add(hours=9000)),
    ):
        agent_tokens.add_enrol_token(connection, name, until_then)
    assert agent_tokens.use_enrol_token(connection, "used", "agent-id", now)


def test_what_ended_long_ago_is_forgotten_and_what_must_be_answered_is_kept(
    world: SweepWorld,
) -> None:
    over = end_in(world, "bug")
    orphans.end_orphans(world.control)
    world.tell = world.hold
    living = world.fire()
    assert living is not None
    started = world.clock.now()
    common = {"kind": "backup", "resource_id": "r", "principal_id": "me", "started_at": started}
    with world.database.writing() as connection:
        for name, at in (("open", None), ("old", started), ("young", started.add(hours=24))):
            status = "Succeeded" if at else "Inprogress"
            operations.add(connection, {**common, "id": name, "status": status, "ended_at": at})
        add_enrol_tokens(connection, started)
    for job in (over, living, None):
        an_operation(world, job)
        with world.database.writing() as connection:
            agent_operations.end(connection, job or "alone", "completed", result={})
    world.clock.advance(86_400 * KEEP_DAYS)
    assert forget_ended(world.control) == {**NOTHING, "stories": 1}
    assert world.job(over).status is JobStatus.FAILED
    assert orphans.end_orphans(world.control) == []
    world.clock.advance(1)
    dropped = {"operations": 1, "agent_operations": 2, "enrol_tokens": 2}
    assert forget_ended(world.control) == {**NOTHING, **dropped}
    assert left(world, token_rows, "token_hash") == ["fresh"]
    assert left(world, operation_rows) == ["open", "young"]
    assert left(world, agent_rows) == [living]


def test_the_dead_are_taken_over_only_by_one_who_has_listened_for_a_minute(
    world: SweepWorld, sweeps: Sweeps
) -> None:
    """After an outage everybody seems to have been silent."""

    def alive() -> list[str]:
        return left(world, executor_rows)

    with world.database.writing() as connection:
        executors.beat(connection, "dead", world.clock.now())
    world.clock.advance(3600)
    sweeps.tick()
    assert alive() == ["a", "dead"]
    for _ in range(11):
        world.clock.advance(5)
        sweeps.tick()
    assert alive() == ["a", "dead"]
    world.clock.advance(5)
    sweeps.tick()
    assert alive() == ["a"]
    with world.database.writing() as connection:
        executors.beat(connection, "other", world.clock.now())
    world.clock.advance(3600)  # no beat got through, from anybody
    sweeps.tick()
    assert alive() == ["a", "other"]


def test_a_bad_policy_keeps_no_other_work_waiting_and_is_tried_again(
    world: SweepWorld, sweeps: Sweeps
) -> None:
    job = end_in(world, "bug")
    world.clock.advance(1)
    with world.database.writing() as connection:
        schedules.replace(connection, world.instance, [("rule", 0, world.clock.now())])
        connection.execute(policies.update().values(properties="no JSON"))
    sweeps.tick()
    assert world.job(job).status is JobStatus.FAILED
    world.use_policy("rule")
    assert under_way(world) is None
    sweeps.tick()
    assert under_way(world) is not None


def test_a_backup_that_a_schedule_has_begun_is_never_begun_again(world: SweepWorld) -> None:
    job = end_in(world, "bug")
    orphans.end_orphans(world.control)
    with world.database.writing() as connection:
        at = world.job(job).started_at
        again = backups.fire_backup(world.control, connection, world.instance, "rule", at)
    assert again is None


def under_way(world: SweepWorld) -> str | None:
    with world.database.reading() as connection:
        return jobs.running(connection, InstanceId(world.instance), JobKind.BACKUP)


def test_a_time_that_has_come_is_fired_once_by_any_number_of_schedulers(
    world: SweepWorld,
) -> None:
    """Missed for a week: caught up once, and the next time lies ahead."""
    world.use_policy("rule")
    world.tell = world.hold
    with world.database.writing() as connection:
        schedules.replace(connection, world.instance, [("rule", 0, world.clock.now())])
    world.clock.advance(7 * 86_400)
    due = scheduling.list_due(world.control)
    begin, fired = threading.Barrier(4), []

    def fire() -> None:
        begin.wait()
        fired.append(scheduling.fire(world.control, due[0]))

    threads = [threading.Thread(target=fire) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job for job in fired if job] == [under_way(world)]
    assert len(fired) == 4
    assert scheduling.list_due(world.control) == []
    with world.database.reading() as connection:
        following = schedules.next_of_instance(connection, world.instance)
    assert following is not None
    assert world.clock.now() < following < world.clock.now().add(hours=25)


def test_an_interval_whose_rule_is_gone_fires_nothing_and_is_not_due_again(
    world: SweepWorld, sweeps: Sweeps
) -> None:
    world.use_policy("another")
    with world.database.writing() as connection:
        schedules.replace(connection, world.instance, [("rule", 0, world.clock.now())])
    sweeps.tick()
    assert under_way(world) is None
    assert scheduling.list_due(world.control) == []


def test_a_scheduled_job_has_one_id_for_each_time_and_it_is_a_uuid() -> None:
    found = [
        UUID(scheduled_job_id(instance, rule, NOW.add(seconds=seconds)))
        for instance in ("i", "j")
        for rule in ("r", "s")
        for seconds in range(20)
    ]
    assert len(set(found)) == len(found)
    assert {(each.version, each.variant) for each in found} == {(8, RFC_4122)}
    assert str(found[0]) == scheduled_job_id("i", "r", NOW)
