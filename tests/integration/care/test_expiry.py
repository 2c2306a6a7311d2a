"""A point goes when its time is over, never the last good one, and what others need stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from care_world import CareWorld, care_world
from ports import free_port
from seams import SystemClock
from store_world import KEY
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.tables import tables
from strongroom.datastore.care.garbage import Unreadable
from strongroom.model.errors import NotFound, StoreUnavailable
from strongroom.model.protection.protection_state import CONFIGURED, STOPPED, SUSPENDED
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.care.care import expire_all
from strongroom.workflows.expiry.expire import expire
from strongroom.workflows.garbage.collect import collect
from strongroom.workflows.proof.census import take_census
from worlds import point_id

HOUR = 3600
GRACE = 86_400.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CareWorld]:
    with care_world(tmp_path) as world:
        yield world


def three_points(world: CareWorld) -> list[str]:
    """An hour apart; each is kept for a thousand hours, as its receipt and its row say."""
    points = []
    for number in (1, 2, 3):
        points.append(world.a_point(number, listed=True))
        world.clock.advance(HOUR)
    return points


def listed(world: CareWorld) -> set[str]:
    return {point.id for point in world.points()}


def gone(world: CareWorld) -> dict[str, bool]:
    """Point -> whether it goes."""
    return {each.point.id: each.goes for each in expire(world.means, world.instance)}


def mark_damaged(world: CareWorld, point: str) -> None:
    with world.database.writing() as connection:
        recovery_points.note_facts(connection, point, {"damaged": ["g/1/a.pack"]})


def set_state(world: CareWorld, state: str) -> None:
    with world.database.writing() as connection:
        protection.set_state(connection, world.instance, state)


def forget_points(world: CareWorld) -> None:
    with world.database.writing() as connection:
        connection.execute(tables.recovery_points.delete())


def test_nothing_ends_a_moment_before_its_time(world):
    first, *_ = three_points(world)
    world.clock.advance(997 * HOUR - 1)
    assert gone(world) == {}
    world.clock.advance(1)
    assert gone(world) == {first: True}
    assert listed(world) == {point_id(2), point_id(3)}
    assert world.audited("recoveryPoint/expire") == [first]


def test_the_last_good_point_is_never_ended_by_age_alone(world):
    first, second, third = three_points(world)
    mark_damaged(world, third)
    world.clock.advance(5000 * HOUR)
    assert gone(world) == {first: True, second: False, third: True}
    assert listed(world) == {second}
    assert gone(world) == {second: False}


def test_when_no_point_is_good_none_is_ended(world):
    points = three_points(world)
    for point in points:
        mark_damaged(world, point)
    world.clock.advance(5000 * HOUR)
    assert gone(world) == dict.fromkeys(points, False)
    assert listed(world) == set(points)


def test_nothing_ends_while_a_job_may_need_it(world):
    first, second, _ = three_points(world)
    job = world.a_job(4, JobStatus.IN_PROGRESS)
    world.clock.advance(998 * HOUR)
    assert gone(world) == {first: False, second: False}
    world.end_job(job, JobStatus.FAILED)
    assert gone(world) == {first: True, second: True}


def test_what_is_stopped_keeps_all_its_points_and_resumed_it_loses_what_is_over(world):
    points = three_points(world)
    set_state(world, STOPPED)
    world.clock.advance(5000 * HOUR)
    assert gone(world) == dict.fromkeys(points, False)
    set_state(world, CONFIGURED)
    assert gone(world) == {points[0]: True, points[1]: True, points[2]: False}


def test_what_is_suspended_loses_what_is_over_and_keeps_its_newest_point(world):
    points = three_points(world)
    set_state(world, SUSPENDED)
    world.clock.advance(5000 * HOUR)
    assert gone(world) == {points[0]: True, points[1]: True, points[2]: False}
    assert listed(world) == {points[2]}


def test_the_packs_of_a_point_that_is_over_are_freed_after_the_grace_and_no_others(world):
    first, second, _ = three_points(world)
    packs = {point: set(world.names(f"g/{point}/")) for point in (first, second)}
    world.clock.advance(997 * HOUR)
    expire_all(world.means)
    assert f"p/{first}.manifest" not in world.names("p/")
    assert f"p/{first}.receipt" in world.names("p/")
    collect(world.means, world.instance, grace_seconds=GRACE)
    assert packs[first] <= set(world.names("g/"))
    world.clock.advance(GRACE + 2 * HOUR)
    assert collect(world.means, world.instance, grace_seconds=GRACE).freed_objects > 0
    left = set(world.names("g/"))
    assert not packs[first] & left
    assert packs[second] <= left
    with pytest.raises(NotFound), world.database.reading() as connection:
        recovery_points.get(connection, world.instance, first)


def test_what_a_pass_that_broke_off_left_the_next_one_finishes(world):
    first, *_ = three_points(world)
    world.clock.advance(997 * HOUR)
    nowhere = VaultStorage(f"http://127.0.0.1:{free_port()}/strongroom", KEY, SystemClock())
    with pytest.raises(StoreUnavailable):
        expire(replace(world.means, storage=nowhere), world.instance)
    assert first not in listed(world)
    assert f"p/{first}.manifest" in world.names("p/")
    expire_all(world.means)
    assert f"p/{first}.manifest" not in world.names("p/")
    assert world.audited("recoveryPoint/delete") == [first]


def test_a_locked_manifest_stays_until_its_lock_is_over(world):
    first, *_ = three_points(world)
    lock_point(world.means, world.instance, first, {first}, world.clock.now().add(hours=9000))
    world.say_immutable("Unlocked")
    world.clock.advance(997 * HOUR)
    assert gone(world) == {first: True}
    assert f"p/{first}.manifest" in world.names("p/")
    assert world.audited("recoveryPoint/delete") == []
    world.say_immutable("Disabled")
    expire_all(world.means)
    assert world.audited("recoveryPoint/delete") == [first]


def test_a_catalogue_that_was_lost_takes_no_point_that_was_over_for_damage(world):
    first, *_ = three_points(world)
    world.clock.advance(997 * HOUR)
    expire_all(world.means)
    forget_points(world)
    assert set(take_census(world.means, world.instance)) == {point_id(2), point_id(3)}
    assert world.audited("receipt/quarantine") == []
    collect(world.means, world.instance, grace_seconds=GRACE)
    world.clock.advance(GRACE + 2 * HOUR)
    collect(world.means, world.instance, grace_seconds=GRACE)
    assert not world.names(f"g/{first}/")


def test_a_manifest_that_is_gone_too_early_stops_the_collection(world):
    first, *_ = three_points(world)
    world.remove(f"p/{first}.manifest")
    with pytest.raises(Unreadable):
        collect(world.means, world.instance, grace_seconds=GRACE)


def test_a_manifest_that_is_gone_though_the_catalogue_keeps_its_point_stops_it_too(world):
    *_, third = three_points(world)
    world.clock.advance(5000 * HOUR)
    expire_all(world.means)
    world.remove(f"p/{third}.manifest")
    with pytest.raises(Unreadable):
        collect(world.means, world.instance, grace_seconds=GRACE)
