"""Whether the chunks of a logical point are those that were dumped, pack by pack.

Most chunks lie in one pack; of one that goes on in the next, the bytes that are read too early
wait for those before them. A chunk of which bytes are lost is not judged: its pack is.
"""

import threading
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from blake3 import blake3

from strongroom.datastore.dumps.chunks import KEY_SIZE, ChunkTable, Part
from strongroom.datastore.maps.extents import Extent
from strongroom.datastore.reading.wanted import Wanted


@dataclass(slots=True)
class _Chunk:
    """One that is being read."""

    digest: blake3
    done: int = 0
    early: dict[int, bytes] = field(default_factory=dict)


class ChunkCheck:
    """Give each pack's bytes to `open_pack`; then `wrong` has the chunks that are others now.

    A chunk is known by the number of its first row in the table.
    """

    def __init__(self, chunks: Mapping[str, bytes], packs: int, secret: bytes) -> None:
        """A manifest's table, and the key of its digests: 32 bytes. Raises Corrupt."""
        self._secret = secret
        self._table = ChunkTable(chunks, packs)
        self._rows: dict[int, array[int]] = {}  # by pack
        self._first: dict[int, int] = {}  # of the second and later parts of a chunk
        self._length: dict[int, int] = {}  # of chunks of more parts than one
        self._open: dict[int, _Chunk] = {}
        self._lock = threading.Lock()
        self.wrong: list[Part] = []
        rows = enumerate(self._table)
        for _, group in groupby(rows, lambda numbered: numbered[1].key):
            self._plan(list(group))

    def _plan(self, rows: list[tuple[int, Part]]) -> None:
        """One chunk; of what was written twice, the first copy."""
        first, covered = rows[0][0], 0
        for row, part in rows:
            if part.at != covered:
                continue
            self._rows.setdefault(part.place.pack, array("I")).append(row)
            if covered:
                self._first[row] = first
                self._length[first] = covered + part.place.length
            covered += part.place.length

    def open_pack(self, pack: int) -> Callable[[int, memoryview], None]:
        """Takes (where in the raw stream, bytes) of one pack, in order."""
        rows = self._rows.get(pack)
        if not rows:
            return lambda *_: None
        wanted = Wanted(self._extent(row) for row in rows)

        def take(start: int, data: memoryview) -> None:
            for row, at, low, high in wanted.pieces(start, start + len(data)):
                self._add(row, at, data[low - start : high - start])

        return take

    def _extent(self, row: int) -> Extent:
        part = self._table[row]
        return Extent(row, part.at, part.place.length, part.place.pack, part.place.raw)

    def _add(self, row: int, at: int, data: memoryview) -> None:
        first = self._first.get(row, row)
        with self._lock:
            chunk = self._open.setdefault(first, _Chunk(blake3(key=self._secret)))
            chunk.early[at] = bytes(data)
            while (ready := chunk.early.pop(chunk.done, None)) is not None:
                chunk.digest.update(ready)
                chunk.done += len(ready)
            part = self._table[first]
            if chunk.done == self._length.get(first, part.place.length):
                del self._open[first]
                if chunk.digest.digest(KEY_SIZE) != part.key:
                    self.wrong.append(part)
