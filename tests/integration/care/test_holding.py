"""A legal hold is in storage's own book before anybody is told that it holds."""

from dataclasses import replace
from typing import Any

import pytest

from care_world import CareWorld
from ports import free_port
from seams import SystemClock
from store_world import KEY
from strongroom.catalog.points import holds
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import operations
from strongroom.control.basis import long_running
from strongroom.control.identities.identity import create_service_principal
from strongroom.control.points import holds as control
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound
from strongroom.model.identities.access import OWNER, Caller
from strongroom.model.points.hold import HoldWish
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.care.care import settle_all_holds
from strongroom.workflows.expiry import holding


class Once:
    """A durable story without its engine: every step runs, and may run again."""

    id = "story"

    def __init__(self, times: int = 1) -> None:
        self._times = times

    def step(self, name: str, function: Any, *args: Any) -> Any:
        for _ in range(self._times):
            found = function(*args)
        return found


@pytest.fixture
def caller(world: CareWorld) -> Caller:
    owner = [(OWNER.id, "/")]
    return Caller(
        principal_id=create_service_principal(world.control, "owner", "app", "secret", owner)
    )


def ask(
    world: CareWorld, caller: Caller, point: str = "", name: str = "case-1"
) -> tuple[str, str]:
    """(id of the hold, operation)."""
    wish = HoldWish(name=name, point=point, reason="a lawsuit")
    row, operation, _ = control.set_hold(world.control, caller, place(world), wish, "")
    return str(row["id"]), operation


def place(world: CareWorld) -> tuple[VaultRef, str]:
    with world.database.reading() as connection:
        found = protection.by_id(connection, world.instance)
    return VaultRef(
        resource_group=found.resource_group, name=found.vault_name
    ), found.instance_name


def outcome(world: CareWorld, operation: str) -> str:
    with world.database.reading() as connection:
        row = operations.get(connection, operation)
    assert row is not None
    return str(row["status"])


def rows(world: CareWorld) -> list[Any]:
    with world.database.reading() as connection:
        return holds.list_of_instance(connection, world.instance)


def kept(world: CareWorld) -> list[str]:
    """Of everything that lies in the container, what a hold keeps; nothing is locked."""
    view = world.means.storage.account_view(world.instance)
    return [name for name in world.names() if view.lock(name).holds]


@pytest.mark.parametrize("times", [1, 2])
def test_a_held_point_is_kept_by_storage_with_all_that_it_needs_and_nothing_else_is(
    world: CareWorld, caller: Caller, times: int
) -> None:
    point, other = world.a_point(1, listed=True), world.a_point(2, listed=True)
    hold, operation = ask(world, caller, point)
    holding.set_hold(world.means, Once(times), hold, operation)
    assert outcome(world, operation) == "Succeeded"
    assert [row["state"] for row in rows(world)] == ["held"]
    view = world.means.storage.account_view(world.instance)
    for name in world.names():
        needed = point in name or name.startswith(("k/", "FORMAT"))
        is_delta = name.startswith("d/")
        assert bool(view.lock(name).holds) is (needed and not is_delta), name
    assert view.delete(f"p/{point}.receipt") is False
    assert view.delete(f"p/{other}.receipt") is True
    operation = control.release_hold(world.control, caller, place(world), "CASE-1", "")
    assert operation is not None
    holding.release_hold(world.means, Once(times), hold, operation)
    assert (outcome(world, operation), rows(world), kept(world)) == ("Succeeded", [], [])
    assert len(world.audited("hold/set")) == len(world.audited("hold/released")) == 1


def test_a_held_instance_keeps_the_points_that_it_gets_later(
    world: CareWorld, caller: Caller
) -> None:
    hold, operation = ask(world, caller)
    holding.set_hold(world.means, Once(), hold, operation)
    later = world.a_point(1, listed=True)
    view = world.means.storage.account_view(world.instance)
    names = [name for name in world.names() if not name.startswith("d/")]
    assert later in "".join(names)
    assert kept(world) == names
    assert [view.delete(name) for name in names] == [False] * len(names)


def test_what_storage_does_not_hold_nobody_is_told_is_held_and_it_is_taken_back(
    world: CareWorld, caller: Caller
) -> None:
    point = world.a_point(1, listed=True)
    hold, operation = ask(world, caller, point)
    nowhere = VaultStorage(f"http://127.0.0.1:{free_port()}/strongroom", KEY, SystemClock())
    holding.set_hold(replace(world.means, storage=nowhere), Once(), hold, operation)
    assert outcome(world, operation) == "Failed"
    assert [row["state"] for row in rows(world)] == ["releasing"]
    settle_all_holds(world.means)
    assert (rows(world), kept(world)) == ([], [])


def test_while_storage_cannot_be_told_of_a_release_the_hold_holds_and_the_next_pass_ends_it(
    world: CareWorld, caller: Caller
) -> None:
    point = world.a_point(1, listed=True)
    hold, operation = ask(world, caller, point)
    holding.set_hold(world.means, Once(), hold, operation)
    released = control.release_hold(world.control, caller, place(world), "case-1", "")
    assert released is not None
    nowhere = VaultStorage(f"http://127.0.0.1:{free_port()}/strongroom", KEY, SystemClock())
    holding.release_hold(replace(world.means, storage=nowhere), Once(), hold, released)
    assert outcome(world, released) == "Failed"
    with world.database.reading() as connection:
        assert holds.names_on(connection, world.instance, [point]) == {point: ["case-1"]}
    for _ in range(2):
        settle_all_holds(world.means)
    assert (rows(world), kept(world)) == ([], [])


def test_a_hold_that_nobody_works_for_any_more_is_asked_for_again_or_released(
    world: CareWorld, caller: Caller
) -> None:
    hold, operation = ask(world, caller)
    assert ask(world, caller) == (hold, operation)
    with world.database.writing() as connection:
        now = world.clock.now()
        long_running.end_operation(connection, operation, now, error={"code": "x"})
    again, operation = ask(world, caller)
    assert again == hold
    holding.set_hold(world.means, Once(), hold, operation)
    assert [row["state"] for row in rows(world)] == ["held"]


def test_two_holds_of_one_point_are_released_one_by_one(world: CareWorld, caller: Caller) -> None:
    point = world.a_point(1, listed=True)
    made = [ask(world, caller, point, name) for name in ("one", "two")]
    for hold, operation in made:
        holding.set_hold(world.means, Once(), hold, operation)
    for (hold, _), name in zip(made, ("one", "two"), strict=True):
        assert f"p/{point}.manifest" in kept(world)
        operation = control.release_hold(world.control, caller, place(world), name, "")
        assert operation is not None
        holding.release_hold(world.means, Once(), hold, operation)
    assert kept(world) == []


def test_a_point_that_is_not_there_cannot_be_held(world: CareWorld, caller: Caller) -> None:
    with pytest.raises(NotFound):
        ask(world, caller, "f" * 32)
