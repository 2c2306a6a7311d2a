"""A file in small pieces in many packs is read in its own order: whole, and in few writes."""

import random

import pytest

from faults import FaultyBlobs
from seams import FakeClock, SeededChance
from strongroom.datastore.keys.session import content_keys
from strongroom.datastore.maps.delta import delta_of, lay_over
from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import FileFacts, Manifest, PointFacts
from strongroom.datastore.reading.reader import read_files
from strongroom.datastore.reading.scattered import lanes_of
from strongroom.datastore.reading.wanted import STRETCH
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Corrupt, WrongKey
from worlds import PG_MANIFEST, SOURCE, World, memory, point_id

PAGE = 8192
FACTS = PointFacts(
    recovery_point_id=point_id(1), instance_id="i", job_id="j", taken_at="", committed_at=""
)


def in_packs(world: World, content: bytes, pack: int) -> Manifest:
    """One file, a pack for so many bytes of it."""
    writer = DatastoreWriter(
        world.blobs,
        "1",
        world.keys.data.public,
        FakeClock(),
        SeededChance(9),
        pack_raw_size=pack,
    )
    stream = writer.stream()
    stream.begin_file(FileFacts(path="a", size=len(content), mode=0o600, mtime=0, kind="main"))
    stream.write(content)
    stream.end_file()
    stream.close()
    return lay_over(delta_of(writer.finish(), SOURCE, PG_MANIFEST), FACTS)


class Mosaic:
    """A file of pages, each of them out of one of many packs that hold theirs in its order."""

    def __init__(self, packs: int = 12, pages: int = 1400, pack: int = 1 << 20) -> None:
        self.world = World()
        self.content = random.Random(7).randbytes(packs * pack)
        manifest = in_packs(self.world, self.content, pack)
        assert len(manifest.packs) == packs
        chance = random.Random(3)
        taken = [0] * packs
        rows, self.expected = [], bytearray()
        for page in range(pages):
            number = chance.choice([n for n in range(packs) if taken[n] < pack // PAGE])
            raw = taken[number] * PAGE
            rows.append(Extent(0, page * PAGE, PAGE, number, raw))
            taken[number] += 1
            self.expected += self.content[number * pack + raw :][:PAGE]
        self.rows = rows
        self.manifest = manifest
        self.keys = content_keys(self.world.blobs, manifest, self.world.keys.data)
        self.counting = FaultyBlobs(self.world.blobs)
        self.writes: list[tuple[int, int]] = []

    @property
    def extents(self) -> Extents:
        return Extents.of_columns(columns_of(self.rows))

    def read(self) -> bytearray:
        """All of it, as it was written."""
        found = bytearray(len(self.expected))

        def write(_file: int, offset: int, data: memoryview) -> None:
            found[offset : offset + len(data)] = data
            self.writes.append((offset, len(data)))

        self.fetched = read_files(
            self.manifest, self.counting, self.keys, write, extents=self.extents
        )
        return found


def test_it_is_put_together_in_memory_and_written_in_stretches() -> None:
    mosaic = Mosaic()
    assert lanes_of(mosaic.extents, None) == [range(1400)]
    assert mosaic.read() == mosaic.expected
    assert mosaic.writes == [
        (0, STRETCH),
        (STRETCH, STRETCH),
        (2 * STRETCH, 1400 * PAGE - 2 * STRETCH),
    ]
    assert mosaic.fetched < sum(pack.size for pack in mosaic.manifest.packs) * 1.1
    assert len(mosaic.counting.calls) <= 4 * 12, "header, table, and what lies in a megabyte"


def test_a_long_piece_among_short_ones_takes_few_requests() -> None:
    mosaic = Mosaic(packs=2, pages=200, pack=8 << 20)
    taken = max(row.raw for row in mosaic.rows if row.pack == 0) + PAGE
    length = (8 << 20) - taken
    mosaic.rows.append(Extent(0, 200 * PAGE, length, 0, taken))
    mosaic.expected += mosaic.content[taken : 8 << 20]
    assert mosaic.read() == mosaic.expected
    assert len(mosaic.counting.calls) <= 16, "a megabyte each"


def test_what_lies_apart_is_written_apart() -> None:
    mosaic = Mosaic()
    moved = [row if row.offset < 800 * PAGE else _moved(row, PAGE) for row in mosaic.rows]
    mosaic.rows = moved
    mosaic.expected[800 * PAGE : 800 * PAGE] = bytes(PAGE)
    assert mosaic.read() == mosaic.expected
    assert (801 * PAGE, STRETCH) in mosaic.writes


def _moved(row: Extent, by: int) -> Extent:
    return Extent(row.file, row.offset + by, row.length, row.pack, row.raw)


def test_packs_that_memory_has_no_room_for_are_closed_and_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("strongroom.datastore.reading.scattered._HELD", 1 << 20)
    mosaic = Mosaic()
    assert mosaic.read() == mosaic.expected
    tables = [place for verb, place in mosaic.counting.calls if verb == "read_range"]
    assert len(tables) > 100
    assert mosaic.fetched > len(mosaic.content)


def test_a_long_file_is_shared_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.datastore.reading.scattered._LANE", 3 << 20)
    mosaic = Mosaic()
    assert [len(rows) for rows in lanes_of(mosaic.extents, None)] == [383, 384, 384, 249]
    assert mosaic.read() == mosaic.expected


def test_only_what_gains_by_it_is_read_so() -> None:
    mosaic = Mosaic(pages=256, packs=4)
    assert lanes_of(mosaic.extents, None) == [range(256)]
    assert lanes_of(mosaic.extents, [0]) == [range(256)]
    assert lanes_of(mosaic.extents, [1]) == []
    scattered = mosaic.rows[::2]  # no two of them follow each other
    assert lanes_of(Extents.of_columns(columns_of(scattered)), None) == []
    few = mosaic.rows[:60]
    assert lanes_of(Extents.of_columns(columns_of(few)), None) == []
    backwards = [
        Extent(0, row.offset, PAGE, row.pack, other.raw)
        for row, other in zip(mosaic.rows, reversed(mosaic.rows), strict=True)
    ]
    assert lanes_of(Extents.of_columns(columns_of(backwards)), None) == []


def test_a_pack_without_a_key_and_an_extent_beyond_its_pack_are_told() -> None:
    mosaic = Mosaic()
    last = mosaic.manifest.packs[-1]
    known = mosaic.keys
    mosaic.keys = {key: value for key, value in known.items() if key != last.id}
    with pytest.raises(WrongKey, match=str(last.pack_id)):
        mosaic.read()
    mosaic.keys = known
    mosaic.rows[70] = Extent(0, 70 * PAGE, PAGE, 0, 4 << 20)
    with pytest.raises(Corrupt, match="beyond"):
        mosaic.read()


def test_a_damaged_pack_is_told() -> None:
    mosaic = Mosaic()
    pack = mosaic.manifest.packs[3]
    objects = memory(mosaic.world)
    stored = bytearray(objects[pack.name])
    stored[len(stored) // 2] ^= 1
    objects[pack.name] = bytes(stored)
    with pytest.raises(Corrupt, match=str(pack.pack_id)):
        mosaic.read()
