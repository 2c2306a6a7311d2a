"""X2: two that would have the same thing at once: one gets it, the other is told.

Each pair is tried in both orders, and together, from one barrier. Commits against collections are
in test_garbage.py, schedulers and reapers against their like in durable/test_sweeps.py, writers of
one name in storage/test_store.py.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from care_world import CareWorld, care_world
from integration.care.test_holding import Once, place
from integration.care.test_keys import open_everywhere, rotate_kek
from integration.care.test_purge import FORTNIGHT, delete, is_deleted
from seams import SystemClock
from strongroom.catalog.points import holds
from strongroom.control.identities.identity import create_service_principal
from strongroom.control.points import holds as control_holds
from strongroom.control.protection import deletions as control_deletions
from strongroom.datastore.places.container import Immutability
from strongroom.model.errors import Conflict, NotFound, VaultError
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.points.hold import HoldWish
from strongroom.workflows.expiry import holding
from strongroom.workflows.expiry.purge import purge_point

pytestmark = pytest.mark.X2
NUMBERS = itertools.count(1)  # of points, in a world that all share
ORDERS = ("the first first", "the second first", "both at once", "both at once, again")
Act = Callable[[], object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CareWorld]:
    with care_world(tmp_path_factory.mktemp("races")) as found:
        yield found


@pytest.fixture(scope="module")
def caller(world: CareWorld) -> Caller:
    owner = [(OWNER.id, "/")]
    return Caller(
        principal_id=create_service_principal(world.control, "owner", "app", "secret", owner)
    )


def race(order: str, first: Act, second: Act) -> tuple[object, object]:
    """What each gives, or the error that it was told."""
    told: list[object] = [None, None]
    begin = threading.Barrier(2)

    def run(number: int, act: Act, *, wait: bool) -> None:
        if wait:
            begin.wait(30)
        try:
            told[number] = act()
        except VaultError as error:
            told[number] = error

    acts = [(0, first), (1, second)]
    if order.startswith("both"):
        threads = [threading.Thread(target=run, args=each, kwargs={"wait": True}) for each in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        for each in acts if order == ORDERS[0] else reversed(acts):
            run(*each, wait=False)
    return told[0], told[1]


def test_what_is_had_back_is_not_purged_and_what_is_purged_is_not_had_back(
    world: CareWorld, caller: Caller
) -> None:
    for order in ORDERS:
        number = next(NUMBERS)
        point = world.a_point(number, listed=True)
        delete(world, point)
        world.clock.advance(FORTNIGHT)
        had, purged = race(
            order,
            partial(
                control_deletions.undelete_point, world.control, caller, place(world), point, ""
            ),
            partial(purge_point, world.means, point),
        )
        assert not is_deleted(world, point)
        listed = point in {each.id for each in world.points()}
        assert listed == (f"p/{point}.receipt" in world.names("p/"))
        if listed:
            assert isinstance(had, str)
            assert open_everywhere(world, point)
            assert point not in world.audited("recoveryPoint/purge")
        else:
            assert isinstance(had, NotFound)
            assert purged is True
            assert point not in world.audited("recoveryPoint/undelete")


def test_what_is_held_is_not_purged_and_what_is_purged_is_not_held(
    world: CareWorld, caller: Caller
) -> None:
    for order in ORDERS:
        number = next(NUMBERS)
        point = world.a_point(number, listed=True)
        delete(world, point)
        world.clock.advance(FORTNIGHT)
        wish = HoldWish(name=f"case-{number}", point=point, reason="a lawsuit")
        held, purged = race(
            order,
            partial(control_holds.set_hold, world.control, caller, place(world), wish, ""),
            partial(purge_point, world.means, point),
        )
        if isinstance(held, NotFound):
            assert purged is True
            assert f"p/{point}.receipt" not in world.names("p/")
        else:
            assert purged is False
            assert is_deleted(world, point)
            assert open_everywhere(world, point)


def test_a_hold_that_is_being_released_is_never_told_to_hold(
    world: CareWorld, caller: Caller
) -> None:
    for order in ORDERS:
        number = next(NUMBERS)
        point = world.a_point(number, listed=True)
        wish = HoldWish(name=f"case-{number}", point=point, reason="a lawsuit")
        ask = partial(control_holds.set_hold, world.control, caller, place(world), wish, "")
        row, operation, _ = ask()
        holding.set_hold(world.means, Once(), row["id"], operation)
        again, released = race(
            order,
            ask,
            partial(
                control_holds.release_hold, world.control, caller, place(world), wish.name, ""
            ),
        )
        with world.database.reading() as connection:
            rows = holds.list_of_instance(connection, world.instance)
        now = next(each for each in rows if each["name"] == f"case-{number}")
        assert isinstance(again, Conflict) or isinstance(released, Conflict)
        assert isinstance(again, Conflict) == (now["state"] == control_holds.RELEASING)


def test_a_lock_that_the_store_has_confirmed_keeps_what_it_names(world: CareWorld) -> None:
    for order in ORDERS:
        number = next(NUMBERS)
        view = world.means.storage.account_view(world.instance)
        view.set_immutability(Immutability("Unlocked", 0))
        name, until = f"g/9/{number}.pack", SystemClock().now().add(hours=24)
        world.blobs.create(name, b"x")
        locked, deleted = race(
            order, partial(view.extend_locks, [name], until), partial(view.delete, name)
        )
        there = name in world.names("g/")
        assert not isinstance(locked, VaultError)
        assert deleted is (not there)
        assert view.delete(name) is (not there)


def test_keys_are_released_while_what_seals_them_is_rotated(world: CareWorld) -> None:
    for order in ORDERS:
        number = next(NUMBERS)
        point = world.a_point(number, listed=True)
        opened, rotated = race(
            order, partial(open_everywhere, world, point), partial(rotate_kek, world)
        )
        assert not isinstance(opened, VaultError)
        assert rotated is None
        assert open_everywhere(world, point) == opened
