"""A file read from its beginning to its end, without a look at the others."""

import random

from seams import FakeClock, SeededChance
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.extents import Extents, columns_of
from strongroom.datastore.maps.manifest import FileFacts, Manifest, PointFacts
from strongroom.datastore.reading.in_order import read_in_order
from strongroom.datastore.writing.writer import DatastoreWriter
from worlds import PG_MANIFEST, SOURCE, World, micro_world, point_id

FACTS = PointFacts(
    recovery_point_id=point_id(1), instance_id="i", job_id="j", taken_at="", committed_at=""
)


def written(world: World, contents: list[bytes]) -> Manifest:
    writer = DatastoreWriter(
        world.blobs, "1", world.keys.data.public, FakeClock(), SeededChance(9)
    )
    stream = writer.stream()
    for number, content in enumerate(contents):
        stream.begin_file(
            FileFacts(path=f"f{number}", size=len(content), mode=0o600, mtime=0, kind="main")
        )
        stream.write(content)
        stream.end_file()
    stream.close()
    return lay_over(delta_of(writer.finish(), SOURCE, PG_MANIFEST), FACTS)


def read(world: World, manifest: Manifest, index: int) -> tuple[list[bytes], int]:
    fetched: list[int] = []
    keys = content_keys(world.blobs, manifest, world.keys.data)
    pieces = read_in_order(
        manifest, world.blobs, keys, index, workers=2, on_fetched=fetched.append
    )
    return [bytes(piece) for piece in pieces], sum(fetched)


def test_each_file_is_whole_in_bounded_pieces_and_hardly_fetched_twice():
    world = micro_world()
    chance = random.Random(5)
    contents = [chance.randbytes(size) for size in (70 << 20, 1, 0, 9 << 20)]
    manifest = written(world, contents)
    for index, content in enumerate(contents):
        pieces, fetched = read(world, manifest, index)
        assert b"".join(pieces) == content
        assert max(map(len, pieces), default=0) <= 40 << 20
        assert fetched <= 1.2 * len(content) + (40 << 20) * (index > 0)


def test_what_no_extent_covers_is_zeros():
    world = micro_world()
    content = random.Random(6).randbytes(1 << 20)
    manifest = written(world, [content])
    rows = list(manifest.all_extents())
    (row,) = rows
    cut = [
        type(row)(0, 4096, 8192, row.pack, row.raw + 4096),
        type(row)(0, 16384, 100, row.pack, row.raw + 16384),
    ]
    manifest.extents = columns_of(cut)
    want = bytearray(len(content))
    for extent in Extents.of_columns(manifest.extents):
        want[extent.offset : extent.end] = content[extent.offset : extent.end]
    pieces, _ = read(world, manifest, 0)
    assert b"".join(pieces) == bytes(want)
