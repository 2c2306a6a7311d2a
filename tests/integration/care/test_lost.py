"""What was taken from storage past the endpoint, ledger and all, is missed within a day."""

import sqlite3

from care_world import LIFE_HOURS, CareWorld
from strongroom.catalog.points import storage_findings
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.proof.lost import look_for_lost


def take(world: CareWorld, statement: str) -> None:
    """Written into the endpoint's ledger by root."""
    with sqlite3.connect(world.store.root / ".strongroom" / "ledger.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def hide(world: CareWorld, name: str) -> None:
    world.store.file(world.instance, name).unlink()
    take(world, f"DELETE FROM blobs WHERE name = '{name}'")


def findings(world: CareWorld) -> dict[str, str]:
    with world.database.reading() as connection:
        rows = storage_findings.list_of_instance(connection, world.instance)
    return {row["name"]: row["kind"] for row in rows}


def test_what_is_hidden_is_named_with_the_points_that_need_it(world: CareWorld) -> None:
    first, second, whole = (world.a_point(number, listed=True) for number in (1, 2, 3))
    assert look_for_lost(world.means, world.instance) == []
    pack = world.names(f"g/{first}/")[0]
    hidden = [pack, f"p/{second}.manifest", f"p/{second}.receipt"]
    for name in hidden:
        hide(world, name)
    assert look_for_lost(world.means, world.instance) == hidden
    assert look_for_lost(world.means, world.instance) == hidden
    assert findings(world) == dict.fromkeys(hidden, "missing")
    assert world.audited("storage/missing") == hidden, "each is told once"
    facts = {point.id: point.facts.get("damaged") for point in world.points()}
    assert facts == {first: [pack], second: hidden[1:], whole: None}


def test_a_lock_that_was_struck_out_is_told_of_and_there_again(world: CareWorld) -> None:
    world.say_immutable("Unlocked")
    point = world.a_point(1, listed=True)
    end = world.clock.now().add(hours=LIFE_HOURS)
    lock_point(world.means, world.instance, point, {point}, end)
    view = world.means.storage.account_view(world.instance)
    before = view.lock(f"g/{point}/x.pack").until
    assert look_for_lost(world.means, world.instance) == []
    assert findings(world) == {}
    take(world, "DELETE FROM locks")
    look_for_lost(world.means, world.instance)
    assert set(findings(world).values()) == {"unlocked"}
    assert {name[:2] for name in findings(world)} == {"g/", "p/"}
    assert view.lock(f"g/{point}/x.pack").until == before
    look_for_lost(world.means, world.instance)
    assert findings(world) == {}
