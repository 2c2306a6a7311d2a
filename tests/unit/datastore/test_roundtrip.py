"""What a writer took, a reader gives back: any sizes, any messages, any bytes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults import FaultyBlobs
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.places.blobs import DirectoryBlobs, MemoryBlobs
from strongroom.datastore.rescue.rescue import list_points, rescue
from strongroom.model.errors import (
    Cancelled,
    Corrupt,
    ObjectExists,
    StoreUnavailable,
    TargetNotEmpty,
    TargetRefused,
)
from worlds import (
    FRAME_SIZE,
    PACK_RAW_SIZE,
    World,
    micro_world,
    noise,
    point_id,
    restore,
    small_tree,
    tree_of,
)

POINT = point_id(1)
KEYS = World().keys
EDGES = [0, 1, 8191, 8192, 8193, PACK_RAW_SIZE - 1, PACK_RAW_SIZE, PACK_RAW_SIZE + 1]
SIZES = st.one_of(st.sampled_from(EDGES), st.integers(0, 3 * PACK_RAW_SIZE))
MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "noise": noise,
    "zeros": lambda _, size: bytes(size),
    "text": lambda seed, size: (f"row {seed} " * (size // 5 + 1)).encode()[:size],
    "half": lambda seed, size: (noise(seed, size // 2) + bytes(size))[:size],
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(SIZES, st.sampled_from(sorted(MAKERS))), max_size=6),
    st.sampled_from([1021, FRAME_SIZE, 30_000, PACK_RAW_SIZE, 1 << 20]),
)
def test_files_of_any_size_in_messages_of_any_size_come_back(
    files: list[tuple[int, str]], chunk: int
) -> None:
    tree = {f"f{n}": MAKERS[kind](n, size) for n, (size, kind) in enumerate(files)}
    world = World(keys=KEYS)
    world.lay_ground()
    manifest = world.commit(world.write(tree, POINT, chunk), POINT)
    assert restore(world.blobs, KEYS.recovery, POINT) == tree
    assert sum(pack.size for pack in manifest.packs) == sum(
        world.blobs.size(pack.name) for pack in manifest.packs
    )


def test_one_byte_at_a_time_is_as_good() -> None:
    world = World(keys=KEYS)
    world.lay_ground()
    tree = {"a": noise(1, 20_001), "b": b"", "c": b"c"}
    world.commit(world.write(tree, POINT, chunk=1), POINT)
    assert restore(world.blobs, KEYS.recovery, POINT) == tree


def test_nothing_at_all_is_a_point_too() -> None:
    world = micro_world(tree={})
    assert restore(world.blobs, world.keys.recovery, POINT) == {}
    [found] = list_points(world.blobs, world.keys.recovery)
    assert found.receipt is not None
    assert found.receipt.packs == []


def test_incompressible_bytes_cost_a_tag_a_frame_a_digest_a_page_and_no_more() -> None:
    world = World(keys=KEYS)
    written = world.write({"a": noise(3, PACK_RAW_SIZE)}, POINT)
    [pack] = written.packs
    frames = PACK_RAW_SIZE // FRAME_SIZE
    digests = 8 * PACK_RAW_SIZE // 8192 + 16
    overhead = 43 + 1168 + frames * (16 + 8) + digests + 4 + 16 + 12
    assert pack.size == PACK_RAW_SIZE + overhead


def test_several_streams_at_once_come_back() -> None:
    world = World(keys=KEYS)
    world.lay_ground()
    writer = world.writer(POINT)
    trees = [
        {f"{lane}/{n}": noise(lane * 100 + n, 9_000 * n) for n in range(8)} for lane in range(3)
    ]

    def fill(tree: dict[str, bytes]) -> None:
        stream = writer.stream()
        for path, content in tree.items():
            stream.begin_file(
                FileFacts(path=path, size=len(content), mode=0o600, mtime=0, kind="main")
            )
            stream.write(content)
            stream.end_file()
        stream.close()

    lanes = [threading.Thread(target=fill, args=(tree,)) for tree in trees]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    world.commit(writer.finish(), POINT)
    whole = {path: content for tree in trees for path, content in tree.items()}
    assert restore(world.blobs, KEYS.recovery, POINT) == whole


def test_the_same_point_is_rescued_from_a_directory_into_a_directory(tmp_path: Path) -> None:
    world = World(blobs=DirectoryBlobs(tmp_path / "store"), keys=KEYS)
    world.lay_ground()
    world.back_up(small_tree(), POINT)
    rescue(world.blobs, KEYS.recovery, POINT, tmp_path / "restored")
    assert tree_of(tmp_path / "restored") == small_tree()
    assert (tmp_path / "restored").stat().st_mode & 0o777 == 0o700
    with pytest.raises(TargetNotEmpty):
        rescue(world.blobs, KEYS.recovery, POINT, tmp_path / "restored")
    with pytest.raises(TargetRefused):
        rescue(world.blobs, KEYS.recovery, POINT, tmp_path / "restored" / "PG_VERSION")


def test_a_file_that_is_shorter_or_longer_than_it_said_is_refused() -> None:
    for given_bytes in (b"12", b"1234"):
        writer = World(keys=KEYS).writer(POINT)
        stream = writer.stream()
        stream.begin_file(FileFacts(path="a", size=3, mode=0o600, mtime=0, kind="main"))
        stream.write(given_bytes)
        with pytest.raises(Corrupt, match="a has"):
            stream.end_file()
        writer.abort()


def threads_of_the_writer() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("seal", "send", "read"))]


def test_giving_up_leaves_no_thread_and_tells_who_goes_on() -> None:
    writer = World(keys=KEYS).writer(POINT)
    stream = writer.stream()
    stream.begin_file(FileFacts(path="a", size=1 << 20, mode=0o600, mtime=0, kind="main"))
    stream.write(noise(1, 200_000))
    writer.abort()
    writer.abort()
    assert threads_of_the_writer() == []
    with pytest.raises(Cancelled):
        stream.write(noise(2, 200_000))


def test_whoever_writes_is_told_soon_when_another_thread_gives_up() -> None:
    writer = World(keys=KEYS).writer(POINT)
    stream = writer.stream()
    stream.begin_file(FileFacts(path="a", size=1 << 30, mode=0o600, mtime=0, kind="main"))
    stream.write(noise(1, 100_000))
    writer.abort_soon()
    with pytest.raises(Cancelled):
        stream.write(noise(1, 100_000))
    writer.abort()
    assert threads_of_the_writer() == []


def test_an_upload_that_fails_is_told_by_its_class_and_soon() -> None:
    """The writer stops within the packs in flight, not at the end of a server of a terabyte."""
    blobs = FaultyBlobs(MemoryBlobs(), {0: "before"})
    world = World(blobs=blobs, keys=KEYS)
    writer = world.writer(POINT)
    stream = writer.stream()
    stream.begin_file(FileFacts(path="a", size=1 << 40, mode=0o600, mtime=0, kind="main"))
    began, packs, block = time.monotonic(), 0, noise(1, PACK_RAW_SIZE)

    def go_on() -> int:
        nonlocal packs
        while packs < 1000:
            stream.write(block)
            packs += 1
        return packs

    with pytest.raises(StoreUnavailable, match="failed as planned"):
        go_on()
    assert packs < 50
    assert time.monotonic() - began < 3
    with pytest.raises(StoreUnavailable):
        writer.finish()
    assert threads_of_the_writer() == []


def test_the_last_upload_that_fails_is_told_by_finish() -> None:
    world = World(blobs=FaultyBlobs(MemoryBlobs(), {0: "after"}), keys=KEYS)
    with pytest.raises(StoreUnavailable, match="failed as planned"):
        world.write({"a": b"one pack"}, POINT)
    assert threads_of_the_writer() == []


def test_no_name_is_given_twice(tmp_path: Path) -> None:
    for blobs in (MemoryBlobs(), DirectoryBlobs(tmp_path)):
        blobs.create("p/a", b"first")
        with pytest.raises(ObjectExists):
            blobs.create("p/a", b"second")
        assert blobs.read("p/a") == b"first"
        assert list(blobs.list("")) == [("p/a", 5)]
