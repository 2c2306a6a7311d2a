"""Verification reads every byte and names what is damaged; what it cannot check it says aloud."""

import msgspec
import pytest

from faults import FaultyBlobs
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.manifest import FORMAT_LINE, Manifest, PointFacts, seal_manifest
from strongroom.datastore.reading.verify import scrub, verify_manifest, verify_packs
from strongroom.datastore.rescue.rescue import (
    check_format,
    list_points,
    open_point_keys,
    verify_point,
)
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, StoreUnavailable, WrongKey
from worlds import PG_MANIFEST, SOURCE, World, memory, micro_world, point_id, small_tree

POINT = point_id(1)


@pytest.fixture
def world() -> World:
    return micro_world()


def receipt_of(world: World, point: str = POINT) -> Receipt:
    return world.keys.signing.public.check(memory(world)[f"p/{point}.receipt"])


def packs_of(world: World) -> list[str]:
    return sorted(name for name in memory(world) if name.startswith("g/"))


def damage(world: World, name: str) -> None:
    stored = bytearray(memory(world)[name])
    stored[len(stored) // 2] ^= 4
    memory(world)[name] = bytes(stored)


def test_a_whole_point_has_no_findings(world: World) -> None:
    told: list[tuple[int, int]] = []
    assert verify_point(world.blobs, world.keys.recovery, POINT, lambda *t: told.append(t)) == []
    assert scrub(receipt_of(world), world.blobs) == []
    assert len(told) == len(packs_of(world))
    assert sum(raw for raw, _ in told) >= sum(len(content) for content in small_tree().values())


def test_each_damaged_pack_is_named_with_a_key_and_without(world: World) -> None:
    manifest, keys = open_point_keys(world.blobs, world.keys.recovery, POINT)
    first, second, *_ = packs_of(world)
    damage(world, first)
    del memory(world)[second]
    for found in (
        verify_packs(manifest, world.blobs, keys),
        scrub(receipt_of(world), world.blobs),
    ):
        kinds = {finding.name: type(finding.error) for finding in found}
        assert kinds == {first: Corrupt, second: ObjectMissing}


def test_a_pack_whose_digest_is_right_and_whose_key_is_wrong_is_found(world: World) -> None:
    manifest, keys = open_point_keys(world.blobs, world.keys.recovery, POINT)
    keys[manifest.packs[0].id] = bytes(32)
    del keys[manifest.packs[1].id]
    found = verify_packs(manifest, world.blobs, keys)
    assert [type(finding.error) for finding in found] == [Corrupt, WrongKey]


def test_a_damaged_manifest_is_found_with_a_key_and_without(world: World) -> None:
    damage(world, f"p/{POINT}.manifest")
    name = f"p/{POINT}.manifest"
    assert [f.name for f in verify_point(world.blobs, world.keys.recovery, POINT)] == [name]
    assert [f.name for f in scrub(receipt_of(world), world.blobs)] == [name]


def test_an_outage_is_never_health_and_never_damage(world: World) -> None:
    manifest, keys = open_point_keys(world.blobs, world.keys.recovery, POINT)
    for ask in (
        lambda blobs: verify_packs(manifest, blobs, keys),
        lambda blobs: scrub(receipt_of(world), blobs),
        lambda blobs: verify_point(blobs, world.keys.recovery, POINT),
        lambda blobs: list_points(blobs, world.keys.recovery),
    ):
        with pytest.raises(StoreUnavailable):
            ask(FaultyBlobs(world.blobs, {1: "before"}))


def resealed(world: World, manifest: Manifest, **changes: object) -> None:
    """A manifest of our making, with a receipt that is signed in earnest."""
    changed = msgspec.structs.replace(manifest, **changes)
    stored = seal_manifest(changed, world.keys.catalogue.public, world.clock, world.chance)
    memory(world)[f"p/{POINT}.manifest"] = stored
    receipt = world.receipt(manifest, stored)
    memory(world)[f"p/{POINT}.receipt"] = world.keys.signing.sign(receipt)


def test_a_manifest_that_names_other_packs_than_its_receipt_is_refused(world: World) -> None:
    manifest, _ = open_point_keys(world.blobs, world.keys.recovery, POINT)
    other = msgspec.structs.replace(manifest.packs[0], size=manifest.packs[0].size + 1)
    resealed(world, manifest, packs=[other, *manifest.packs[1:]])
    with pytest.raises(Corrupt, match="same packs"):
        open_point_keys(world.blobs, world.keys.recovery, POINT)


def test_the_manifest_of_another_point_is_refused(world: World) -> None:
    manifest, _ = open_point_keys(world.blobs, world.keys.recovery, POINT)
    facts: PointFacts = msgspec.structs.replace(manifest.facts, recovery_point_id=point_id(2))
    with pytest.raises(Corrupt, match="another recovery point"):
        verify_manifest(msgspec.structs.replace(manifest, facts=facts), receipt_of(world))


# --- R3, a forged commit: what a thief of the writer's keys can make, and what becomes of it


def test_a_manifest_that_a_writer_seals_is_quarantined(world: World) -> None:
    manifest, _ = open_point_keys(world.blobs, world.keys.recovery, POINT)
    forged = seal_manifest(manifest, world.keys.catalogue.public, world.clock, world.chance)
    world.blobs.create(f"p/{point_id(9)}.manifest", forged)
    world.blobs.create(f"p/{point_id(9)}.receipt", memory(world)[f"p/{POINT}.receipt"])
    found = {
        point.recovery_point_id: point for point in list_points(world.blobs, world.keys.recovery)
    }
    assert found[POINT].receipt is not None
    assert found[point_id(9)].receipt is None
    assert "quarantined" in found[point_id(9)].problem
    with pytest.raises(Corrupt):
        open_point_keys(world.blobs, world.keys.recovery, point_id(9))


def test_a_delta_that_names_packs_of_another_generation_is_refused(world: World) -> None:
    other = delta_of(world.write(small_tree(3), "foreign"), SOURCE, PG_MANIFEST)
    facts = PointFacts(
        recovery_point_id=point_id(3),
        instance_id=world.instance_id,
        job_id="j",
        taken_at="",
        committed_at="",
        generation="own",
    )
    with pytest.raises(Corrupt, match="generation"):
        lay_over(other, facts)
    mixed = delta_of(world.write(small_tree(4), "own"), SOURCE, PG_MANIFEST)
    assert lay_over(mixed, facts).facts.generation == "own"
    mixed.packs[0] = msgspec.structs.replace(mixed.packs[0], generation="foreign")
    with pytest.raises(Corrupt, match="generation"):
        lay_over(mixed, facts)


def test_a_receipt_whose_manifest_is_gone_is_told_not_forgotten(world: World) -> None:
    del memory(world)[f"p/{POINT}.manifest"]
    (found,) = list_points(world.blobs, world.keys.recovery)
    assert (found.recovery_point_id, found.receipt) == (POINT, None)
    assert "not in storage" in found.problem


def test_every_bit_of_the_format_line_matters(world: World) -> None:
    check_format(world.blobs)
    for bit in range(8 * len(FORMAT_LINE)):
        changed = bytearray(FORMAT_LINE)
        changed[bit // 8] ^= 1 << bit % 8
        memory(world)["FORMAT"] = bytes(changed)
        with pytest.raises(Invalid, match="this container is"):
            list_points(world.blobs, world.keys.recovery)
