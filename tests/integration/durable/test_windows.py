"""Scheduled backups start within the instance's window only, and what has waited is told."""

from collections.abc import Iterator

import pytest
from whenever import Instant

from integration.durable.sweep_world import SweepWorld
from strongroom.catalog.protection import instances, schedules
from strongroom.catalog.work import jobs
from strongroom.model.protection.backup_settings import BackupSettings
from strongroom.model.work.job import JobKind
from strongroom.workflows.care.sweeps import Sweeps

NOON = "2030-01-15T12:00:00Z"


@pytest.fixture
def world(url: str) -> Iterator[SweepWorld]:
    """Due every day at noon UTC; open from 22:00 to 06:00 in Prague, 21:00 to 05:00 UTC."""
    found = SweepWorld(url)
    found.use_policy("rule")
    found.tell = found.hold
    settings = BackupSettings(window="22:00-06:00@Europe/Prague")
    with found.database.writing() as connection:
        kept = {"strongroom": {"settings": settings.to_dict()}}
        instances.change(connection, found.instance, properties=kept)
        due = Instant.parse_iso(NOON)
        schedules.replace(connection, found.instance, [("rule", 0, due)])
    yield found
    found.close()


def begun(world: SweepWorld, at: str) -> bool:
    world.clock.set(at)
    Sweeps(world.control, "a").tick()
    with world.database.reading() as connection:
        return jobs.running(connection, world.instance, JobKind.BACKUP) is not None


def test_a_backup_that_is_due_outside_of_its_window_waits_until_it_opens(
    world: SweepWorld,
) -> None:
    assert not begun(world, NOON)
    assert not begun(world, "2030-01-15T20:59:59Z")
    assert begun(world, "2030-01-15T21:00:00Z")
    with world.database.reading() as connection:
        following = schedules.next_of_instance(connection, world.instance)
    assert following == Instant.parse_iso("2030-01-16T12:00:00Z")


def test_it_remembers_when_it_was_due_for_its_tag(world: SweepWorld) -> None:
    assert begun(world, "2030-01-16T01:00:00Z")
    with world.database.reading() as connection:
        job = jobs.running(connection, world.instance, JobKind.BACKUP)
        assert job is not None
        assert jobs.get(connection, job).order["due_at"] == NOON


def test_one_whose_window_has_gone_by_begins_in_the_next_one(world: SweepWorld) -> None:
    assert not begun(world, "2030-01-18T13:00:00Z")
    assert begun(world, "2030-01-18T22:00:00Z")
