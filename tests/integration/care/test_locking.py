"""What a vault promises to keep, the storage endpoint keeps, and nobody can take it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from care_world import CareWorld, care_world
from strongroom.catalog.points import condemned
from strongroom.datastore.places.container import Immutability
from strongroom.model.errors import Locked
from strongroom.workflows.basis.locking import UNCOMMITTED_DAYS, lock_point, make_immutable
from strongroom.workflows.garbage.collect import collect


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CareWorld]:
    with care_world(tmp_path) as world:
        yield world


def test_a_container_is_as_immutable_as_its_vault_and_what_is_not_committed_stays_a_fortnight(
    world,
):
    view = world.means.storage.account_view(world.instance)
    for state, days in [("Unlocked", UNCOMMITTED_DAYS), ("Disabled", 0), ("Locked", 14)]:
        world.say_immutable(state)
        make_immutable(world.means, world.instance)
        assert view.immutability() == Immutability(state, days)


def test_a_locked_container_stays_locked_whatever_the_catalogue_says(world):
    world.say_immutable("Locked")
    with pytest.raises(Locked):
        world.say_immutable("Disabled")
    assert world.means.storage.account_view(world.instance).immutability().state == "Locked"


def test_all_that_a_point_needs_is_locked_until_it_ends_at_one_request_a_generation(world):
    world.say_immutable("Unlocked")
    point = world.a_point(1)
    until = world.clock.now().add(hours=24 * 400)
    lock_point(world.means, world.instance, point, {point}, until)
    lock_point(world.means, world.instance, point, {point}, until.subtract(hours=24))
    view = world.means.storage.account_view(world.instance)
    names = [name for name in world.names() if not name.startswith("d/")]
    assert len(names) > 6
    for name in names:
        assert view.lock(name).until >= until.format_iso(), name
        assert view.delete(name) is False


def test_garbage_that_is_locked_is_retained_and_no_failure(world):
    world.say_immutable("Unlocked")
    world.blobs.create("g/9/nobody.pack", b"x")
    collect(world.means, world.instance, grace_seconds=0)
    world.clock.advance(1)
    told = collect(world.means, world.instance, grace_seconds=0)
    assert (told.retained_objects, told.freed_objects) == (1, 0)
    with world.database.reading() as connection:
        rows = condemned.list_of_instance(connection, world.instance)
    assert [row["state"] for row in rows] == [condemned.RETAINED]
    world.say_immutable("Disabled")
    world.clock.advance(1)
    assert collect(world.means, world.instance, grace_seconds=0).freed_objects == 1
