"""A dump in chunks: cut where its content says, and stored only where the parent lacks them.

A chunk is known by its keyed BLAKE3-128; the key is one instance's own, so that nobody else can
tell from a digest what is stored. A writer reads nothing in storage: it is given the digests of
the parent's chunks, and reports (delta: `reused`) which stretches of its files are such chunks.
Who holds the parent's map lays the one over the other.

A chunk table is columns, little-endian, of one count: `key` 16 bytes, `at` u32, `pack` u32,
`raw` u32, `length` u32. A chunk that fills one pack and goes on in the next has a row for each
part, whose first byte is the chunk's byte `at`. Sorted by (key, at) in a manifest.
"""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from blake3 import blake3
from pyfastcdc import FastCDC

from strongroom.datastore.maps.extents import Extent, from_little, to_little
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.packs.pack import MOST_RAW
from strongroom.datastore.writing.writer import DatastoreWriter, RawStream
from strongroom.model.errors import Corrupt

KEY_SIZE = 16
LEAST, AVERAGE, MOST = 16 << 10, 64 << 10, 256 << 10  # bytes of a chunk
REMEMBERED = 1 << 19  # chunks of this very dump that are known again: about 32 GiB
_TABLE = {"at": "I", "pack": "I", "raw": "I", "length": "I"}
_REUSED = {"file": "I", "offset": "Q", "length": "I"}


class Place(NamedTuple):
    """`length` bytes of the raw stream of a pack (by index) at `raw`."""

    pack: int
    raw: int
    length: int


class Part(NamedTuple):
    """A row of a table: from the chunk's byte `at` on, it lies there."""

    key: bytes
    at: int
    place: Place


class Keys(Sequence[bytes]):
    """Sorted digests laid end to end: 16 bytes each in memory, found by halving."""

    def __init__(self, joined: bytes) -> None:
        """Raises Corrupt when that is not what it is."""
        if len(joined) % KEY_SIZE:
            raise Corrupt("digests of chunks are cut off")
        self._joined = joined

    def __len__(self) -> int:
        return len(self._joined) // KEY_SIZE

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # no slices
        if index >= len(self):
            raise IndexError(index)
        return self._joined[index * KEY_SIZE : (index + 1) * KEY_SIZE]

    def first(self, key: bytes) -> int:
        """Where the key stands first; -1 when it is not there."""
        index = bisect_left(self, key)
        return index if index < len(self) and self[index] == key else -1

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.first(key) >= 0


class ChunkTable:
    """Rows out of columns; Corrupt when they do not fit together."""

    def __init__(self, stored: Mapping[str, bytes], packs: int) -> None:
        self.keys = Keys(stored.get("key", b""))
        self._columns = _columns(stored, _TABLE, len(self.keys))
        for _, pack, raw, length in zip(*self._columns, strict=True):
            if pack >= packs or not length or raw + length > MOST_RAW:
                raise Corrupt("a chunk lies outside of every pack")

    def __iter__(self) -> Iterator[Part]:
        return map(self.__getitem__, range(len(self.keys)))

    def __getitem__(self, row: int) -> Part:
        at, pack, raw, length = (column[row] for column in self._columns)
        return Part(self.keys[row], at, Place(pack, raw, length))

    def find(self, key: bytes) -> list[Part]:
        """The parts of a chunk, in order; none when it is not there. For a sorted table.

        A chunk that was written twice is found once.
        """
        row = self.keys.first(key)
        found: list[Part] = []
        covered = 0
        while 0 <= row < len(self.keys) and self.keys[row] == key:
            part = self[row]
            if part.at == covered:
                found.append(part)
                covered += part.place.length
            row += 1
        return found


def table_of(rows: Sequence[Part]) -> dict[str, bytes]:
    """Rows -> columns, sorted by (key, at)."""
    ordered = sorted(rows, key=lambda row: (row.key, row.at))
    found = {"key": b"".join(row.key for row in ordered)}
    values = [(row.at, *row.place) for row in ordered]
    for index, (name, code) in enumerate(_TABLE.items()):
        found[name] = to_little(array(code, [each[index] for each in values]))
    return found


def distinct_keys(stored: Mapping[str, bytes]) -> bytes:
    """The digests of a sorted table, each once: what a writer is told of its parent."""
    found = bytearray()
    last = b""
    for key in Keys(stored.get("key", b"")):
        if key != last:
            found += key
        last = key
    return bytes(found)


class Reused(NamedTuple):
    """`length` bytes of a file (by index) at `offset` are the parent's chunk of this digest."""

    file: int
    offset: int
    length: int
    key: bytes


def reused_of(rows: Sequence[Reused]) -> dict[str, bytes]:
    """Rows -> columns."""
    found = {"key": b"".join(row.key for row in rows)}
    for name, code in _REUSED.items():
        found[name] = to_little(array(code, [getattr(row, name) for row in rows]))
    return found


def reused_rows(stored: Mapping[str, bytes]) -> Iterator[Reused]:
    """Columns -> rows; Corrupt when they do not fit together."""
    keys = Keys(stored.get("key", b""))
    return map(Reused, *_columns(stored, _REUSED, len(keys)), keys)


def _columns(
    stored: Mapping[str, bytes], codes: Mapping[str, str], count: int
) -> list["array[int]"]:
    try:
        found = [from_little(code, stored.get(name, b"")) for name, code in codes.items()]
    except ValueError as error:
        raise Corrupt("a column of chunks is cut off") from error
    if any(len(column) != count for column in found):
        raise Corrupt("the columns of chunks do not fit together")
    return found


class ChunkBook:
    """What one dump knows: the parent's chunks, and those it has written itself. For threads."""

    def __init__(self, secret: bytes, parents: Keys) -> None:
        """`secret`: 32 bytes, the key of the digests."""
        self._secret = secret
        self._parents = parents
        self._lock = threading.Lock()
        self._ours: dict[bytes, tuple[Place, ...]] = {}
        self._rows: list[Part] = []
        self._reused: list[Reused] = []

    def digest(self, chunk: memoryview) -> bytes:
        """The keyed BLAKE3-128."""
        return blake3(chunk, key=self._secret).digest(KEY_SIZE)

    def is_parents(self, key: bytes) -> bool:
        """Whether the parent holds it."""
        return key in self._parents

    def ours(self, key: bytes) -> tuple[Place, ...] | None:
        """Where this very dump has written it, if it is remembered."""
        return self._ours.get(key)

    def note(self, key: bytes, places: tuple[Place, ...]) -> None:
        """It was written there. Of two that write the same at once, the first is told of."""
        with self._lock:
            if key in self._ours:
                return
            if len(self._ours) < REMEMBERED:
                self._ours[key] = places
            at = 0
            for place in places:
                self._rows.append(Part(key, at, place))
                at += place.length

    def written(self, seen: int) -> list[Part]:
        """The chunks written, after the first `seen` rows."""
        with self._lock:
            return self._rows[seen:]

    def note_reused(self, rows: list[Reused]) -> None:
        """Stretches of a file that ended."""
        with self._lock:
            self._reused += rows

    def columns(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """(table of the chunks written, stretches that are the parent's)."""
        return table_of(self._rows), reused_of(self._reused)


class ChunkStream(RawStream):
    """Chunks laid end to end, whichever file they belong to."""

    def append(self, chunk: memoryview) -> tuple[Place, ...]:
        """Where it went: one place, or two where a pack ended in between."""
        places: list[Place] = []
        while chunk:
            (pack, raw), count = self._take(chunk)
            places.append(_joined(places, Place(pack, raw, count)))
            chunk = chunk[count:]
        return tuple(places)


def _joined(places: list[Place], new: Place) -> Place:
    """The new place; with the last one, when it goes on where that ended."""
    last = places[-1] if places else None
    if last is None or last.pack != new.pack:
        return new
    places.pop()
    return Place(last.pack, last.raw, last.length + new.length)


class ChunkedFile:
    """One file of a dump while it arrives, of a size that nobody knows before. One thread's."""

    def __init__(
        self, writer: DatastoreWriter, stream: ChunkStream, book: ChunkBook, path: str
    ) -> None:
        self._writer = writer
        self._stream = stream
        self._book = book
        self._path = path
        self._cut = FastCDC(avg_size=AVERAGE, min_size=LEAST, max_size=MOST)
        self._rest = b""
        self._size = 0
        self._written = 0
        self._extents: list[tuple[int, Place]] = []
        self._reused: list[tuple[int, int, bytes]] = []

    def write(self, data: bytes) -> None:
        """The next bytes, however many; best in megabytes."""
        whole = self._rest + data
        chunks = [chunk.length for chunk in self._cut.cut_buf(whole)]
        start, view = 0, memoryview(whole)
        for length in chunks[:-1]:  # the last one may only have ended with the buffer
            self._store(view[start : start + length])
            start += length
        self._rest = whole[start:]

    def end(self, mtime: int) -> int:
        """The file is whole: its size in bytes."""
        if self._rest:
            self._store(memoryview(self._rest))
            self._rest = b""
        facts = FileFacts(path=self._path, size=self._size, mode=0o600, mtime=mtime, kind="other")
        file = self._writer.add_file(facts, None)
        extents = [Extent(file, offset, p.length, p.pack, p.raw) for offset, p in self._extents]
        self._writer.add_extents(joined_extents(extents), self._written)
        self._book.note_reused([Reused(file, *row) for row in self._reused])
        return self._size

    def _store(self, chunk: memoryview) -> None:
        key = self._book.digest(chunk)
        if self._book.is_parents(key):
            self._reused.append((self._size, len(chunk), key))
            self._size += len(chunk)
            return
        places = self._book.ours(key)
        if places is None:
            places = self._stream.append(chunk)
            self._book.note(key, places)
            self._written += len(chunk)
        for place in places:
            self._extents.append((self._size, place))
            self._size += place.length


def joined_extents(extents: Sequence[Extent]) -> list[Extent]:
    """Sorted extents, those that go on in file and pack alike as one."""
    found: list[Extent] = []
    for extent in extents:
        last = found[-1] if found else None
        if (
            last is not None
            and (last.file, last.pack, last.end) == (extent.file, extent.pack, extent.offset)
            and last.raw + last.length == extent.raw
        ):
            found[-1] = Extent(
                last.file, last.offset, last.length + extent.length, last.pack, last.raw
            )
        else:
            found.append(extent)
    return found
