"""Any bit that changes is noticed; nothing cut, extended, swapped or given twice is taken."""

import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest

from strongroom.datastore.maps.manifest import PackFacts, open_manifest
from strongroom.datastore.maps.page_digests import read_digests
from strongroom.datastore.packs.pack import (
    HEADER_SIZE,
    MANIFEST,
    PACK,
    TRAILER_SIZE,
    OpenPack,
    Table,
    open_content_key,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.rescue.rescue import list_points
from strongroom.model.errors import Corrupt, Invalid, VaultError, WrongKey
from worlds import World, memory, micro_world, point_id, restore, small_tree

POINT = point_id(1)


def small_pack(world: World) -> tuple[str, bytes]:
    """Name and bytes of the smallest pack."""
    packs = [name for name in memory(world) if name.endswith(".pack")]
    name = min(packs, key=lambda name: len(memory(world)[name]))
    return name, memory(world)[name]


def opened(world: World, stored: bytes) -> bytes:
    """The raw stream by the data key alone: no digest from a manifest helps."""
    key = open_content_key(read_header(stored, PACK), world.keys.data)
    return unpack_bytes(PACK, stored, key)


def content_key(world: World, stored: bytes) -> bytes:
    return open_content_key(read_header(stored, PACK), world.keys.data)


def layout(world: World, stored: bytes) -> Table:
    header = read_header(stored, PACK)
    return OpenPack(header.pack_id, content_key(world, stored)).table(stored, len(stored))


def unpacked(key: bytes, stored: bytes) -> bytes:
    return unpack_bytes(PACK, stored, key)


def flipped(stored: bytes, bits: Iterator[int] | range) -> Iterator[tuple[int, bytes]]:
    for bit in bits:
        changed = bytearray(stored)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def assert_each_is_noticed(
    changes: Iterator[tuple[int, bytes]],
    read: Callable[[bytes], object],
    *errors: type[VaultError],
) -> None:
    missed = []
    for bit, changed in changes:
        try:
            read(changed)
        except errors:
            continue
        missed.append(bit)
    assert missed == [], "bits that nobody misses"


def test_every_bit_of_a_header_matters() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    assert_each_is_noticed(
        flipped(stored[:HEADER_SIZE], range(HEADER_SIZE * 8)),
        lambda changed: content_key(world, changed),
        Corrupt,
        Invalid,
        WrongKey,
    )


def test_every_bit_of_table_and_trailer_matters() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    key = content_key(world, stored)
    table = layout(world, stored)
    begin = table.offsets[-1] + table.digests
    assert_each_is_noticed(
        flipped(stored, range(begin * 8, len(stored) * 8)),
        lambda changed: unpack_bytes(PACK, changed, key),
        Corrupt,
    )


def test_every_bit_of_the_digests_matters_to_whoever_reads_them() -> None:
    world = micro_world()
    name, stored = small_pack(world)
    key, table = content_key(world, stored), layout(world, stored)
    assert table.digests > 0
    facts = PackFacts(
        id=read_header(stored, PACK).pack_id.bytes,
        generation=name.split("/")[1],
        size=len(stored),
        blake3=bytes(32),
        raw_size=table.raw_size,
    )
    begin = table.offsets[-1]
    assert_each_is_noticed(
        flipped(stored, range(begin * 8, (begin + table.digests) * 8)),
        lambda changed: read_digests(lambda start, n: changed[start : start + n], facts, key),
        Corrupt,
    )


def test_bits_of_frames_matter() -> None:
    world = micro_world()
    chance = random.Random(64)
    for name in [name for name in memory(world) if name.endswith(".pack")]:
        stored = memory(world)[name]
        key = content_key(world, stored)
        end = layout(world, stored).offsets[-1]
        bits = [chance.randrange(HEADER_SIZE * 8, end * 8) for _ in range(64)]
        assert_each_is_noticed(flipped(stored, iter(bits)), partial(unpacked, key), Corrupt)


def test_every_bit_of_a_receipt_matters() -> None:
    world = micro_world()
    stored = memory(world)[f"p/{POINT}.receipt"]
    verify = world.keys.signing.public
    assert verify.check(stored).recovery_point_id == POINT
    assert_each_is_noticed(flipped(stored, range(len(stored) * 8)), verify.check, Corrupt)


def test_a_bit_of_any_object_of_a_point_stops_its_restore() -> None:
    chance = random.Random(7)
    world = micro_world()
    objects = memory(world)
    for name in [name for name in objects if not name.startswith("d/")]:
        stored = objects[name]
        for _, changed in flipped(stored, iter([chance.randrange(len(stored) * 8)])):
            objects[name] = changed
            with pytest.raises(VaultError):
                restore(world.blobs, world.keys.recovery, POINT)
        objects[name] = stored
    assert restore(world.blobs, world.keys.recovery, POINT) == small_tree()


def test_a_pack_cut_at_any_boundary_is_refused() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    key = content_key(world, stored)
    table = layout(world, stored)
    cuts = {0, 1, 8, 43, HEADER_SIZE - 1, *table.offsets, len(stored) - TRAILER_SIZE}
    cuts |= {offset + 1 for offset in table.offsets} | {len(stored) - 1}
    for cut in cuts:
        with pytest.raises(Corrupt):
            unpack_bytes(PACK, stored[:cut], key)
        if cut < table.offsets[-1]:
            with pytest.raises(Corrupt):  # the right ending behind too few frames
                unpack_bytes(PACK, stored[:cut] + stored[table.offsets[-1] :], key)


@pytest.mark.parametrize("kind", [".pack", ".manifest", ".receipt"])
def test_an_object_cut_or_extended_stops_the_restore(kind: str) -> None:
    world = micro_world()
    objects = memory(world)
    for name in [name for name in objects if name.endswith(kind)]:
        stored = objects[name]
        for changed in (
            stored[:-1],
            stored[: len(stored) // 2],
            b"",
            stored + b"\0",
            b"\0" + stored,
        ):
            objects[name] = changed
            with pytest.raises(VaultError):
                restore(world.blobs, world.keys.recovery, POINT)
        objects[name] = stored


def test_bytes_put_anywhere_into_a_pack_are_refused() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    key = content_key(world, stored)
    for place in (*layout(world, stored).offsets, len(stored)):
        with pytest.raises(Corrupt):
            unpack_bytes(PACK, stored[:place] + bytes(16) + stored[place:], key)


def test_frames_keep_their_places() -> None:
    world = World()
    world.lay_ground()
    world.back_up({"a": b"".join(bytes([n]) * 8192 for n in range(4))}, POINT)
    _, stored = small_pack(world)
    offsets = layout(world, stored).offsets
    frames = [stored[a:b] for a, b in pairwise(offsets)]
    assert len({len(frame) for frame in frames}) == 1, "frames of one length are what to swap"
    ending = stored[offsets[-1] :]
    orders = ([1, 0, 2, 3], [0, 1, 3, 2], [0, 0, 2, 3], [0, 1, 2], [0, 1, 2, 3, 3], [3, 2, 1, 0])
    for order in orders:
        changed = stored[:HEADER_SIZE] + b"".join(frames[n] for n in order) + ending
        with pytest.raises(Corrupt):
            opened(world, changed)


def test_a_frame_of_another_pack_is_refused() -> None:
    world = World()
    world.lay_ground()
    world.back_up({"a": b"x" * 65536}, point_id(1))
    world.back_up({"a": b"x" * 65536}, point_id(2))
    first, second = (memory(world)[n] for n in sorted(memory(world)) if n.endswith(".pack"))
    offsets = layout(world, first).offsets
    assert offsets == layout(world, second).offsets
    changed = first[: offsets[2]] + second[offsets[2] : offsets[3]] + first[offsets[3] :]
    with pytest.raises(Corrupt):
        opened(world, changed)
    with pytest.raises(Corrupt):  # the other's table
        opened(world, first[: offsets[-1]] + second[offsets[-1] :])
    with pytest.raises(Corrupt):  # the other's header: a valid key, of another pack
        opened(world, second[:HEADER_SIZE] + first[HEADER_SIZE:])


def test_packs_that_change_places_are_refused() -> None:
    world = micro_world()
    objects = memory(world)
    first, second, *_ = [name for name in objects if name.endswith(".pack")]
    objects[first], objects[second] = objects[second], objects[first]
    with pytest.raises(Corrupt):
        restore(world.blobs, world.keys.recovery, POINT)


def test_one_pack_in_the_place_of_another_is_refused() -> None:
    world = micro_world()
    objects = memory(world)
    first, second, *_ = [name for name in objects if name.endswith(".pack")]
    objects[second] = objects[first]
    with pytest.raises(Corrupt):
        restore(world.blobs, world.keys.recovery, POINT)


def test_a_missing_pack_is_named() -> None:
    world = micro_world()
    name, _ = small_pack(world)
    del memory(world)[name]
    with pytest.raises(VaultError, match=name.split("/")[-1].removesuffix(".pack")):
        restore(world.blobs, world.keys.recovery, POINT)


def test_the_manifest_of_another_world_is_quarantined() -> None:
    world, other = micro_world(0), micro_world(1)
    memory(world)[f"p/{POINT}.manifest"] = memory(other)[f"p/{POINT}.manifest"]
    [found] = list_points(world.blobs, world.keys.recovery)
    assert found.receipt is None
    assert "quarantined" in found.problem
    with pytest.raises(Corrupt):
        restore(world.blobs, world.keys.recovery, POINT)


def test_manifest_and_receipt_of_another_world_together_are_quarantined() -> None:
    world, other = micro_world(0), micro_world(1)
    for kind in ("manifest", "receipt"):
        memory(world)[f"p/{POINT}.{kind}"] = memory(other)[f"p/{POINT}.{kind}"]
    [found] = list_points(world.blobs, world.keys.recovery)
    assert found.receipt is None
    with pytest.raises(Corrupt, match="not signed by this vault"):
        restore(world.blobs, world.keys.recovery, POINT)


def test_a_point_under_another_points_name_is_quarantined() -> None:
    world = micro_world()
    objects = memory(world)
    for kind in ("manifest", "receipt"):
        objects[f"p/{point_id(2)}.{kind}"] = objects[f"p/{POINT}.{kind}"]
    found = {f.recovery_point_id: f.receipt for f in list_points(world.blobs, world.keys.recovery)}
    assert found[POINT] is not None
    assert found[point_id(2)] is None


def test_an_object_of_another_kind_is_refused_by_its_magic() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    with pytest.raises(Corrupt, match="SRMANI01"):
        open_manifest(stored, world.keys.data)
    relabelled = MANIFEST + stored[8:]
    with pytest.raises(WrongKey):  # the magic is bound to the sealed key
        open_manifest(relabelled, world.keys.data)


def test_version_two_is_refused_by_name() -> None:
    world = micro_world()
    _, stored = small_pack(world)
    with pytest.raises(Invalid, match="version 02"):
        read_header(stored.replace(b"SRPACK01", b"SRPACK02", 1), PACK)
    manifest = memory(world)[f"p/{POINT}.manifest"]
    with pytest.raises(Invalid, match="version 02"):
        open_manifest(manifest.replace(b"SRMANI01", b"SRMANI02", 1), world.keys.catalogue)
    memory(world)["FORMAT"] = b"strongroom-format 2\n"
    with pytest.raises(Invalid, match="strongroom-format 2"):
        restore(world.blobs, world.keys.recovery, POINT)
    with pytest.raises(Invalid, match="strongroom-format 2"):
        list_points(world.blobs, world.keys.recovery)


def test_the_wrong_key_is_told_as_such() -> None:
    world, other = micro_world(0), micro_world(1)
    manifest = memory(world)[f"p/{POINT}.manifest"]
    with pytest.raises(WrongKey):
        open_manifest(manifest, world.keys.data)
    with pytest.raises(WrongKey):
        open_manifest(manifest, other.keys.catalogue)
    with pytest.raises(WrongKey):
        opened(other, small_pack(world)[1])
    with pytest.raises(Corrupt, match="not what was written"):
        unpack_bytes(PACK, small_pack(world)[1], bytes(32))
    with pytest.raises(Corrupt):
        restore(world.blobs, other.keys.recovery, POINT)
    [found] = list_points(world.blobs, other.keys.recovery)
    assert found.receipt is None


def test_a_frame_that_states_a_huge_length_costs_no_memory() -> None:
    """A hostile writer may seal any plaintext: here, a zstd header that promises 2^60 bytes."""
    world = World()
    key = KeyOf(world)
    bomb = bytes.fromhex("28b52ffd") + b"\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\x00\x00"
    with pytest.raises(Corrupt, match="length"):
        key.open(bomb, 8192)


class KeyOf:
    """A content key that a hostile writer knows, having made it."""

    def __init__(self, world: World) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        _, stored = small_pack(micro_world(world.seed))
        self._id = read_header(stored, PACK).pack_id
        self._secret = bytes(32)
        self._aead = AESGCM(self._secret)

    def open(self, plaintext: bytes, raw_length: int) -> bytes:
        aad = self._id.bytes + bytes(12) + raw_length.to_bytes(4, "big")
        stored = self._aead.encrypt(bytes(12), plaintext, aad)
        return OpenPack(self._id, self._secret).frame(0, stored, raw_length)
