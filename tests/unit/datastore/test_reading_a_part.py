"""Of a point as little is fetched as is needed, in stretches, and zeros are told as zeros."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults import FaultyBlobs
from seams import FakeClock, SeededChance
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import FileFacts, Manifest, PointFacts
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.reading.wanted import STRETCH, Wanted
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Corrupt, StoreUnavailable, WrongKey
from worlds import PG_MANIFEST, SOURCE, World, micro_world, point_id, small_tree

FACTS = PointFacts(
    recovery_point_id=point_id(1), instance_id="i", job_id="j", taken_at="", committed_at=""
)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def large(world: World, files: dict[str, bytes]) -> Manifest:
    """Frames and packs of the real size."""
    writer = DatastoreWriter(
        world.blobs, "1", world.keys.data.public, FakeClock(), SeededChance(9)
    )
    stream = writer.stream()
    for path, content in files.items():
        stream.begin_file(
            FileFacts(path=path, size=len(content), mode=0o600, mtime=0, kind="main")
        )
        stream.write(content)
        stream.end_file()
    stream.close()
    return lay_over(delta_of(writer.finish(), SOURCE, PG_MANIFEST), FACTS)


class Tree:
    """Files in memory that remember how they were written."""

    def __init__(self, manifest: Manifest) -> None:
        self.files = [bytearray(file.size) for file in manifest.files]
        self.writes: list[tuple[int, int, int]] = []
        self.holes: list[tuple[int, int, int]] = []
        self._lock = threading.Lock()

    def write(self, index: int, offset: int, data: memoryview) -> None:
        with self._lock:
            self.files[index][offset : offset + len(data)] = data
            self.writes.append((index, offset, len(data)))

    def hole(self, index: int, offset: int, length: int) -> None:
        with self._lock:
            self.holes.append((index, offset, length))


def test_one_small_file_of_a_large_pack_costs_little() -> None:
    world = World()
    content = {"a": noise(1, 6 << 20), "small": noise(2, 5000), "b": noise(3, 6 << 20)}
    manifest = large(world, content)
    counting = FaultyBlobs(world.blobs)
    tree = Tree(manifest)
    keys = content_keys(world.blobs, manifest, world.keys.data)
    fetched = read_files(manifest, counting, keys, tree.write, select=[1])
    assert tree.files[1] == content["small"]
    assert tree.writes == [(1, 0, 5000)]
    assert fetched < 200_000
    assert {verb for verb, _ in counting.calls} == {"read_range"}


def test_most_of_a_pack_is_fetched_in_one_request() -> None:
    world = World()
    manifest = large(world, {"a": noise(1, 12 << 20), "b": noise(2, 3 << 20)})
    counting = FaultyBlobs(world.blobs)
    tree = Tree(manifest)
    keys = content_keys(world.blobs, manifest, world.keys.data)
    fetched = read_files(manifest, counting, keys, tree.write)
    assert len(counting.calls) == len(manifest.packs) == 1
    assert fetched == manifest.packs[0].size
    assert max(length for _, _, length in tree.writes) == STRETCH
    assert len(tree.writes) == 4


def test_pieces_far_apart_are_fetched_apart_and_near_ones_together() -> None:
    world = World()
    content = {f"{n:03}": noise(n, 130_000) for n in range(100)}
    manifest = large(world, content)
    counting = FaultyBlobs(world.blobs)
    tree = Tree(manifest)
    keys = content_keys(world.blobs, manifest, world.keys.data)
    read_files(manifest, counting, keys, tree.write, select=[3, 5, 90])
    assert len(counting.calls) == 4, "header, ending, and two runs"
    for index in (3, 5, 90):
        assert tree.files[index] == content[f"{index:03}"]
    assert {index for index, _, _ in tree.writes} == {3, 5, 90}


def test_whole_pages_of_zeros_are_holes_and_nothing_else_is() -> None:
    world = World()
    page = noise(1, 8192)
    content = bytes(8192) + page + bytes(24_576) + page[:100] + bytes(8092) + bytes(500)
    marked = (bytes(19) + b"\4" + bytes(8172)) * 3
    manifest = large(world, {"a": content, "zeros": bytes(300_000), "zz": marked})
    tree = Tree(manifest)
    keys = content_keys(world.blobs, manifest, world.keys.data)
    read_files(manifest, world.blobs, keys, tree.write, hole=tree.hole)
    assert tree.files == [content, bytes(300_000), marked]
    assert sorted(tree.holes) == [
        (0, 0, 8192), (0, 16_384, 24_576), (0, 49_152, 500), (1, 0, 300_000)
    ]  # fmt: skip
    assert sorted(tree.writes) == [(0, 8192, 8192), (0, 40_960, 8192), (2, 0, 24_576)]


def test_without_the_key_of_a_pack_that_pack_is_named() -> None:
    world = micro_world()
    manifest = world.commit(world.write(small_tree(7), "2"), point_id(2))
    others = [index for index in range(len(manifest.packs)) if index != 1]
    keys = content_keys(world.blobs, manifest, world.keys.data, packs=others)
    assert others
    with pytest.raises(WrongKey, match=str(manifest.packs[1].pack_id)):
        read_files(manifest, world.blobs, keys, Tree(manifest).write)


def test_a_target_that_fails_stops_the_reading_and_leaves_no_thread() -> None:
    world = micro_world()
    manifest = world.commit(world.write(small_tree(7), "2"), point_id(2))
    keys = content_keys(world.blobs, manifest, world.keys.data)

    def full(index: int, offset: int, data: memoryview) -> None:
        raise StoreUnavailable("no")

    before = threading.active_count()
    with pytest.raises(StoreUnavailable):
        read_files(manifest, world.blobs, keys, full)
    assert threading.active_count() == before


FRAME = 16
EXTENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 90)), min_size=1
)


@settings(max_examples=300, deadline=None)
@given(EXTENTS)
def test_stretches_hold_every_wanted_byte_once_and_no_frame_without_one(
    given_extents: list[tuple[int, int, int]],
) -> None:
    """Against the slow model: a set of (file, file offset, raw offset) for each byte."""
    extents = [
        Extent(file, 1000 * number, length, 0, raw)
        for number, (file, raw, length) in enumerate(given_extents)
    ]
    wanted = Wanted(extents)
    expected = sorted((e.file, e.offset + n, e.raw + n) for e in extents for n in range(e.length))
    found = []
    frames: list[int] = []
    for first, last in wanted.stretches(FRAME):
        frames += range(first, last + 1)
        for file, offset, low, high in wanted.pieces(first * FRAME, (last + 1) * FRAME):
            found += [(file, offset + n, low + n) for n in range(high - low)]
    assert sorted(found) == expected
    assert frames == sorted({raw // FRAME for _, _, raw in expected})


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(0, 0, 10, 0, 0), (0, 5, 10, 0, 50)], "one over another"),
        ([(0, 95, 10, 0, 0)], "beyond its file"),
        ([(2, 0, 10, 0, 0)], "of no file"),
        ([(0, 0, 10, 1, 0)], "of no pack"),
        ([(0, 0, 0, 0, 0)], "of nothing"),
        ([(0, 0, 10, 0, 995)], "beyond any pack"),
        ([(1, 0, 10, 0, 0), (0, 0, 10, 0, 50)], "in no order"),
        ([(0, 2**64 - 1, 10, 0, 0)], "at the end of all numbers"),
    ],
)
def test_an_extent_that_lies_wrong_is_refused(rows: list[tuple[int, ...]], why: str) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    stored = columns_of([])
    for name, values in zip(stored, columns, strict=True):
        size = {"offset": 8, "length": 8}.get(name, 4)
        stored[name] = b"".join(value.to_bytes(size, "little") for value in values)
    with pytest.raises(Corrupt):
        Extents.of_columns(stored).check([100, 100], 1, 1000)


@pytest.mark.parametrize("change", ["short", "odd", "missing", "more"])
def test_columns_that_do_not_fit_together_are_refused(change: str) -> None:
    stored = columns_of([Extent(0, 0, 10, 0, 0), Extent(0, 10, 10, 0, 10)])
    assert [e.raw for e in Extents.of_columns(stored)] == [0, 10]
    match change:
        case "short":
            stored["raw"] = stored["raw"][:4]
        case "odd":
            stored["raw"] = stored["raw"][:7]
        case "missing":
            del stored["raw"]
        case _:
            stored["more"] = b""
    with pytest.raises(Corrupt):
        Extents.of_columns(stored)
