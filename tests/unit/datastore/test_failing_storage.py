"""Every call to storage fails once, in each way: a point is whole or absent, the next is whole.

Packs are sent side by side, so the order of calls differs a little between runs; each number of a
call is tried, whichever call that is. The oracle is asked after every step, and at the end it
restores.
"""

import threading
from collections.abc import Callable

import pytest

from faults import FaultyBlobs, How
from oracle import Watched, check
from oracle.bytes_of import form_of
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.datastore.rescue.rescue import list_points
from strongroom.model.errors import StoreError, VaultError
from worlds import World, point_id, restore, watch

KEYS = World().keys
TREE = {"a": b"row " * 30_000, "b": b"", "c": bytes(9000), "d": b"small"}
FIRST, SECOND = point_id(1), point_id(2)


def fresh(plan: dict[int, How] | None = None) -> tuple[World, FaultyBlobs]:
    """A container with its ground laid; calls are counted from there on."""
    inner = MemoryBlobs()
    World(blobs=inner, keys=KEYS).lay_ground()
    blobs = FaultyBlobs(inner, plan)
    return World(blobs=blobs, keys=KEYS), blobs


def watched(world: World) -> Watched:
    """What the oracle is asked of: both points are made of the same tree."""
    found = watch(world, {FIRST: TREE, SECOND: TREE})
    check(found)
    return found


def trees_of(found: Watched) -> frozenset[str]:
    """I8: what a fault and a clean re-run must leave as an undisturbed world has it."""
    check(found, "deep")
    return form_of(found.look(deep=True)).trees


def undisturbed() -> frozenset[str]:
    world, _ = fresh()
    back_up(world)
    return trees_of(watched(world))


def calls_of(act: Callable[[World], object]) -> int:
    """How many calls an act makes when nothing fails."""
    world, blobs = fresh()
    act(world)
    return len(blobs.calls)


def back_up(world: World) -> None:
    world.back_up(TREE, FIRST)


def back_up_and_restore(world: World) -> None:
    back_up(world)
    assert restore(world.blobs, KEYS.recovery, FIRST) == TREE


BACKUP_CALLS = calls_of(back_up)
RESTORE_CALLS = calls_of(back_up_and_restore) - BACKUP_CALLS
UNDISTURBED = undisturbed()


def whole_points(world: World) -> list[str]:
    """Listed without a problem; each of them must restore."""
    found = [f for f in list_points(world.blobs, KEYS.recovery) if f.receipt is not None]
    for point in found:
        assert restore(world.blobs, KEYS.recovery, point.recovery_point_id) == TREE
    return [point.recovery_point_id for point in found]


def test_there_is_something_to_fail() -> None:
    kinds = {verb for verb, _ in _calls_of_everything()}
    assert kinds >= {"create", "read", "read_range"}
    assert BACKUP_CALLS >= 7
    assert RESTORE_CALLS >= 8


def _calls_of_everything() -> list[tuple[str, str]]:
    world, blobs = fresh()
    back_up(world)
    restore(world.blobs, KEYS.recovery, FIRST)
    return blobs.calls


@pytest.mark.parametrize("how", ["before", "after", "partial"])
@pytest.mark.parametrize("call", range(BACKUP_CALLS))
def test_a_backup_whose_call_fails_leaves_no_partial_point(call: int, how: How) -> None:
    world, blobs = fresh({call: how})
    oracle = watched(world)
    with pytest.raises(StoreError):
        back_up(world)
    check(oracle)
    assert blobs.failed == 1
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("seal", "send"))]
    # The answer to the last create, the receipt's, may be lost after the commit: that is whole.
    last_is_lost = how == "after" and call == BACKUP_CALLS - 1
    assert whole_points(world) == ([FIRST] if last_is_lost else [])
    world.back_up(TREE, SECOND)
    assert whole_points(world) == ([FIRST, SECOND] if last_is_lost else [SECOND])
    assert trees_of(oracle) == UNDISTURBED


@pytest.mark.parametrize("how", ["before", "after", "partial"])
@pytest.mark.parametrize("call", range(RESTORE_CALLS))
def test_a_restore_whose_call_fails_says_so_and_can_be_done_again(call: int, how: How) -> None:
    world, blobs = fresh()
    back_up(world)
    oracle = watched(world)
    blobs.plan = {len(blobs.calls) + call: how}
    with pytest.raises(VaultError):
        restore(world.blobs, KEYS.recovery, FIRST)
    check(oracle)
    assert blobs.failed == 1
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("read", "keys"))]
    assert restore(world.blobs, KEYS.recovery, FIRST) == TREE
    assert trees_of(oracle) == UNDISTURBED


@pytest.mark.parametrize("how", ["before", "partial"])
def test_a_listing_that_fails_is_never_a_short_list(how: How) -> None:
    world, blobs = fresh()
    world.back_up(TREE, FIRST)
    world.back_up(TREE, SECOND)
    where = next(n for n, (verb, _) in enumerate(_listing_calls(world)) if verb == "list")
    blobs.plan = {len(blobs.calls) + where: how}
    with pytest.raises(StoreError):
        list_points(world.blobs, KEYS.recovery)


def _listing_calls(world: World) -> list[tuple[str, str]]:
    counting = FaultyBlobs(world.blobs)
    list_points(counting, KEYS.recovery)
    return counting.calls
