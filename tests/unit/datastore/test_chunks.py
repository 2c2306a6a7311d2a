"""Dumps in chunks: what the parent holds is not stored again, and everything reads back."""

import random
from collections.abc import Mapping

import pytest

from strongroom.datastore.dumps.chunks import (
    ChunkBook,
    ChunkedFile,
    ChunkStream,
    Keys,
    Reused,
    distinct_keys,
    reused_of,
)
from strongroom.datastore.dumps.dump_map import (
    delta_of_dump,
    dump_source,
    is_worth_leaning_on,
    lay_dump,
)
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import Delta, open_delta, seal_delta
from strongroom.datastore.maps.manifest import Manifest, PointFacts
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Corrupt
from worlds import World, point_id

PACK = 1 << 20
SECRET = bytes(range(32))
SOURCE = dump_source(180006, 7)
Tree = Mapping[str, bytes]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def dump(world: World, tree: Tree, generation: str, parent: Manifest | None, step: int) -> Delta:
    """Each file through a stream of its own, in pieces of `step` bytes; there and back sealed."""
    key, clock = world.keys.data.public, world.clock
    writer = DatastoreWriter(world.blobs, generation, key, clock, world.chance, pack_raw_size=PACK)
    book = ChunkBook(SECRET, Keys(distinct_keys(parent.chunks) if parent else b""))
    for path, content in tree.items():
        stream = ChunkStream(writer)
        file = ChunkedFile(writer, stream, book, path)
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
        assert file.end(0) == len(content)
        stream.close()
    delta = delta_of_dump(writer.finish(), book, SOURCE)
    key = world.keys.catalogue
    return open_delta(seal_delta(delta, key.public, world.clock, world.chance), key)


def facts(generation: str) -> PointFacts:
    return PointFacts(
        recovery_point_id=generation,
        instance_id="i",
        job_id="j",
        taken_at="",
        committed_at="",
        kind="logical",
        generation=generation,
    )


def point(world: World, tree: Tree, number: int, parent: Manifest | None = None) -> Manifest:
    name = point_id(number)
    return lay_dump(dump(world, tree, name, parent, 300_000), facts(name), parent)


def read(world: World, manifest: Manifest) -> dict[str, bytes]:
    found = {file.path: bytearray(file.size) for file in manifest.files}
    names = [file.path for file in manifest.files]

    def write(file: int, offset: int, data: memoryview) -> None:
        found[names[file]][offset : offset + len(data)] = data

    keys = content_keys(world.blobs, manifest, world.keys.data)
    read_files(manifest, world.blobs, keys, write)
    return {path: bytes(content) for path, content in found.items()}


def test_files_of_any_size_read_back_as_they_came():
    world = World()
    tree = {
        "empty.dump": b"",
        "tiny.sql": b"x",
        "same-1.dump": noise(1, 700_001),
        "same-2.dump": noise(1, 700_001),
        "zeros.dump": bytes(900_000),
        "rows.dump": b"a row of a table\n" * 40_000,
    }
    made = point(world, tree, 1)
    assert read(world, made) == tree
    stored = sum(pack.raw_size for pack in made.packs)
    assert stored < 1_800_000, "what comes twice was written twice"


def test_where_the_pieces_end_changes_nothing_of_what_is_cut():
    world = World()
    content = noise(2, 2_000_000)
    deltas = [dump(world, {"a": content}, point_id(n), None, step) for n, step in
              enumerate((777, 65_536, 5_000_000), 1)]  # fmt: skip
    tables = {distinct_keys(delta.chunks) for delta in deltas}
    assert len(tables) == 1


def test_a_second_dump_stores_what_changed_and_leans_on_the_first_for_the_rest():
    world = World()
    before = noise(3, 8_000_000)
    first = point(world, {"a.dump": before}, 1)
    after = b"a new head" + before[:4_000_000] + b"some rows more" + before[4_000_100:]
    second = point(world, {"a.dump": after}, 2, first)
    assert read(world, second) == {"a.dump": after}
    own = [pack for pack in second.packs if pack.generation == point_id(2)]
    assert 0 < sum(pack.raw_size for pack in own) < 600_000
    third = point(world, {"a.dump": after, "b.dump": before}, 3, second)
    assert read(world, third)["b.dump"] == before
    assert sum(p.raw_size for p in third.packs if p.generation == point_id(3)) < 400_000


def test_a_dump_without_anything_new_writes_no_pack():
    world = World()
    tree = {"a.dump": noise(4, 1_000_000)}
    first = point(world, tree, 1)
    second = point(world, tree, 2, first)
    assert {pack.generation for pack in second.packs} == {point_id(1)}
    assert read(world, second) == tree


def test_packs_that_the_new_point_does_not_need_are_not_named():
    world = World()
    first = point(world, {"a.dump": noise(5, 3_000_000), "b.dump": noise(6, 500_000)}, 1)
    second = point(world, {"b.dump": noise(6, 500_000)}, 2, first)
    assert len(second.packs) < len(first.packs)
    assert is_worth_leaning_on(first)


def test_a_point_of_which_little_is_alive_is_not_leant_on():
    world = World()
    content = noise(8, 4 * PACK)
    first = point(world, {"a.dump": content}, 1)
    bits = {f"{n}.dump": content[n * PACK : n * PACK + PACK // 3] for n in range(4)}
    second = point(world, bits, 2, first)
    assert read(world, second) == bits
    assert is_worth_leaning_on(first)
    assert not is_worth_leaning_on(second)


@pytest.mark.parametrize("key", [bytes(16), b"\xff" * 16])
def test_a_chunk_that_the_parent_lacks_is_refused(key):
    world = World()
    first = point(world, {"a.dump": noise(9, 300_000)}, 1)
    delta = dump(world, {"a.dump": noise(9, 300_000)}, point_id(2), first, 99_999)
    delta.reused = reused_of([Reused(0, 0, delta.files[0].size, key)])
    with pytest.raises(Corrupt, match="its parent does not hold"):
        lay_dump(delta, facts(point_id(2)), first)


def test_a_dump_that_leaves_out_a_stretch_is_refused():
    world = World()
    first = point(world, {"a.dump": noise(10, 900_000)}, 1)
    delta = dump(world, {"a.dump": noise(10, 900_000)}, point_id(2), first, 99_999)
    delta.reused = reused_of([])
    with pytest.raises(Corrupt, match="not written whole"):
        lay_dump(delta, facts(point_id(2)), first)


def test_a_table_of_odd_columns_is_refused():
    world = World()
    first = point(world, {"a.dump": noise(11, 300_000)}, 1)
    delta = dump(world, {"a.dump": noise(12, 300_000)}, point_id(2), first, 99_999)
    for name in ("key", "at", "pack", "raw", "length"):
        broken = {**delta.chunks, name: delta.chunks[name][:-1]}
        with pytest.raises(Corrupt):
            lay_dump(_with(delta, broken), facts(point_id(2)), first)
    far = {**delta.chunks, "pack": b"\xff" * len(delta.chunks["pack"])}
    with pytest.raises(Corrupt, match="outside of every pack"):
        lay_dump(_with(delta, far), facts(point_id(2)), first)


def _with(delta: Delta, chunks: dict[str, bytes]) -> Delta:
    return Delta(**{**{f: getattr(delta, f) for f in delta.__struct_fields__}, "chunks": chunks})
