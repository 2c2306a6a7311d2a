"""The scrub runs by itself, and what it finds is told of every point that needs it."""

from care_world import CareWorld
from seams import FakeClock, SystemClock
from strongroom.catalog.points import storage_findings
from strongroom.storage.upkeep.scrubbing import Scrub
from strongroom.workflows.proof.damage import ask_for_damage
from worlds import point_id, small_tree


def scrub_all(world: CareWorld, days: float = 0.0) -> int:
    clock = FakeClock(SystemClock().now().add(seconds=60).format_iso())
    scrub = Scrub(world.store.store, clock, days=days, bytes_per_second=1 << 30)
    looked, most = 0, 1000
    clock.advance(days * 86_400)
    while looked < most and scrub.look():
        looked += 1
        if looked == len(world.names()):
            break
    return looked


def test_a_damaged_pack_names_every_point_that_needs_it_and_no_other(world: CareWorld) -> None:
    first = world.a_point(1, listed=True)
    other = world.a_point(3, listed=True)
    written = world.written.write(small_tree(1), first)
    world.written.commit(written, point_id(2))
    world._list(point_id(2), 1)
    shared = written.packs[0].name
    lost = next(n for n in world.names(f"g/{first}/") if n not in {p.name for p in written.packs})
    world.damage(shared)
    world.damage(lost)
    scrub_all(world)
    assert set(ask_for_damage(world.means, world.instance)) == {first, point_id(2)}
    facts = {point.id: point.facts.get("damaged") for point in world.points()}
    assert facts == {first: [lost], point_id(2): [shared], other: None}
    assert ask_for_damage(world.means, world.instance) == [], "told once"
    assert sorted(world.audited("recoveryPoint/damaged")) == sorted([first, point_id(2)])
    with world.database.reading() as connection:
        rows = storage_findings.list_of_instance(connection, world.instance)
    assert {row["name"] for row in rows} == {shared, lost}


def test_a_whole_container_has_no_finding(world: CareWorld) -> None:
    world.a_point(1, listed=True)
    assert scrub_all(world) == len(world.names())
    assert ask_for_damage(world.means, world.instance) == []
    assert "damaged" not in world.points()[0].facts


def test_a_blob_is_read_again_only_when_its_days_are_over(world: CareWorld) -> None:
    clock = FakeClock(SystemClock().now().format_iso())
    scrub = Scrub(world.store.store, clock, days=30, bytes_per_second=1 << 30)
    clock.advance(29 * 86_400)
    assert not scrub.look()
    clock.advance(2 * 86_400)
    assert scrub.look()


def test_a_scrub_that_is_stopped_gives_up_its_blob(world: CareWorld) -> None:
    world.a_point(1)
    clock = FakeClock(SystemClock().now().add(hours=24 * 365).format_iso())
    scrub = Scrub(world.store.store, clock, days=30, bytes_per_second=1)
    scrub.start()
    scrub.stop()
    assert not scrub._thread.is_alive()


def test_damage_that_a_commit_meets_is_remembered_too(world: CareWorld) -> None:
    point = world.a_point(1, listed=True)
    pack = world.names(f"g/{point}/")[0]
    world.damage(pack)
    (found,) = world.means.storage.account_view(world.instance).digests([pack])
    assert found.corrupt
    assert ask_for_damage(world.means, world.instance) == [point]
