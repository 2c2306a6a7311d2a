"""Read files that lie in many packs in small pieces: in the order of the file, not of the packs.

After a month of increments a file is a mosaic, a page of one pack beside three of another. Pack by
pack it would have to be written in as many pieces. But each pack holds its pieces in the order of
the file: all of them are read side by side, each from its beginning to its end, and the file is
put together in memory, a few megabytes at a time.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import PackFacts
from strongroom.datastore.packs.pack import FRAME, PackReader
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.stored_pack import StoredPack, no_key_of
from strongroom.datastore.reading.wanted import STRETCH
from strongroom.model.errors import Corrupt

_SMALL = 128 << 10  # bytes of a piece, on average, below which reading in this order is worth it
_FEWEST = 64  # pieces of a file
_LANE = 512 << 20  # bytes of a file that one thread puts together
_HELD = 40 << 20  # bytes of packs that a thread holds
_MOST_PACKS = _HELD // FRAME // 2  # of a lane: more of them would be opened again and again
_AHEAD = 1 << 20  # stored bytes of a pack that are fetched at once
_FAR_AHEAD = 4 << 20  # of one of which most is wanted: the full backup's, one or two at a time

Piece = tuple[int, int, int]  # bytes, pack, where in the raw stream of that pack


def lanes_of(extents: Extents, select: Collection[int] | None) -> list[range]:
    """Rows of extents that are better read in their order: each a stretch of one file."""
    if len(extents) < _FEWEST:
        return []
    file, offset, length, pack, raw = extents.columns()
    begins = np.concatenate([[True], file[1:] != file[:-1]])
    apart = begins.copy()
    apart[1:] |= offset[1:] != (offset + length)[:-1]
    starts = np.flatnonzero(begins)
    counts = np.diff(starts, append=len(file))
    stretches = np.add.reduceat(apart, starts, dtype=np.int64)
    sizes = np.add.reduceat(length, starts)
    worth = (counts >= _FEWEST) & (counts >= 2 * stretches) & (sizes < counts * _SMALL)
    found = []
    for start, count in zip(starts[worth].tolist(), counts[worth].tolist(), strict=True):
        if select is None or int(file[start]) in select:
            lane = np.cumsum(length[start : start + count]) // np.uint64(_LANE)
            cuts = [0, *(np.flatnonzero(np.diff(lane)) + 1).tolist(), count]
            found += [range(start + a, start + b) for a, b in pairwise(cuts)]
    return [rows for rows in found if _is_in_order(pack[_slice(rows)], raw[_slice(rows)])]


def _slice(rows: range) -> slice:
    return slice(rows.start, rows.stop)


def _is_in_order(pack: NDArray[np.uint32], raw: NDArray[np.uint32]) -> bool:
    """Whether each pack, and there are few enough, is read from its beginning to its end."""
    order = np.argsort(pack, kind="stable")
    pack, raw = pack[order], raw[order]
    same = pack[1:] == pack[:-1]
    packs = len(pack) - np.count_nonzero(same)
    turns = np.count_nonzero(same & (raw[1:] < raw[:-1]))
    return bool(packs <= _MOST_PACKS and turns <= packs)


def stretches(extents: Extents, rows: range) -> Iterator[tuple[int, list[Piece]]]:
    """(offset in the file, pieces that follow each other there): a few megabytes at most."""
    _, *columns = (column[_slice(rows)].tolist() for column in extents.columns())
    pieces: list[Piece] = []
    start = size = 0
    for offset, length, pack, raw in zip(*columns, strict=True):
        if pieces and offset != start + size:
            yield start, pieces
            pieces, size = [], 0
        done = 0
        while done < length:
            if not pieces:
                start, size = offset + done, 0
            count = min(length - done, STRETCH - size)
            pieces.append((count, pack, raw + done))
            done, size = done + count, size + count
            if size == STRETCH:
                yield start, pieces
                pieces, size = [], 0
    if pieces:
        yield start, pieces


class SideBySide:
    """The packs of one lane, open as long as there is room: those used least are closed."""

    def __init__(
        self,
        blobs: Blobs,
        content_keys: Mapping[bytes, bytes],
        packs: Sequence[PackFacts],
        extents: Extents,
        rows: range,
    ) -> None:
        self._blobs = blobs
        self._keys = content_keys
        self._packs = packs
        self._columns = tuple(column[_slice(rows)] for column in extents.columns())
        self._open: OrderedDict[int, _OpenPack] = OrderedDict()  # least recently used first
        self._closed_fetched = 0
        count = len(np.unique(self._columns[3]))
        self._ahead = min(_AHEAD, max(FRAME, _HELD // count - FRAME))

    @property
    def fetched(self) -> int:
        """Stored bytes, so far."""
        return self._closed_fetched + sum(each.fetched for each in self._open.values())

    def read(self, pack: int, raw: int, into: memoryview) -> None:
        """A pack's raw stream from `raw` on, as much as fits. Raises Corrupt and WrongKey."""
        found = self._open.get(pack)
        if found is None:
            found = self._open[pack] = self._opened(pack)
            while len(self._open) > 1 and sum(o.held for o in self._open.values()) > _HELD:
                _, closed = self._open.popitem(last=False)
                self._closed_fetched += closed.fetched
        self._open.move_to_end(pack)
        found.read(raw, into)

    def _opened(self, pack: int) -> "_OpenPack":
        facts = self._packs[pack]
        key = self._keys.get(facts.id)
        if key is None:
            raise no_key_of(facts)
        _, _, length, packs, raw = self._columns
        of_it = packs == pack
        starts = raw[of_it].astype(np.uint64)
        wanted = starts, starts + length[of_it]
        far = min(_FAR_AHEAD, int(length[of_it].sum()) // 16)
        ahead = max(self._ahead, far)
        return _OpenPack(StoredPack(self._blobs, facts), facts, key, wanted, ahead)


class _OpenPack:
    """One pack, and the frame that was read last."""

    def __init__(
        self,
        stored: StoredPack,
        facts: PackFacts,
        key: bytes,
        wanted: tuple[NDArray[np.uint64], NDArray[np.uint64]],
        ahead: int,
    ) -> None:
        """`wanted`: where in the raw stream what is wanted of it begins, and ends."""
        self._stored = stored
        if facts.size <= ahead:
            stored.load_whole()
        self._reader = PackReader(stored.fetch, facts.size, facts.pack_id, key)
        table = self._reader.table
        if int(wanted[1].max()) > table.raw_size:
            raise Corrupt(f"an extent reaches beyond pack {facts.pack_id}")
        self._wanted = _frames_of(*wanted, table.frame_size)
        self._ahead = ahead
        self._frame = memoryview(bytearray(table.frame_size))
        self._number = -1  # of the frame that lies there

    @property
    def fetched(self) -> int:
        return self._stored.fetched

    @property
    def held(self) -> int:
        """Bytes of memory."""
        return len(self._frame) + self._ahead

    def read(self, raw: int, into: memoryview) -> None:
        table = self._reader.table
        done = 0
        while done < len(into):
            number, skipped = divmod(raw + done, table.frame_size)
            size = table.raw_lengths[number]
            count = min(len(into) - done, size - skipped)
            if count == size:
                self._open(number, into[done : done + count])
            else:
                if number != self._number:
                    self._number = -1
                    self._open(number, self._frame)
                    self._number = number
                into[done : done + count] = self._frame[skipped : skipped + count]
            done += count

    def _open(self, number: int, room: memoryview) -> None:
        if not self._stored.holds(*self._reader.place(number, number)):
            self._stored.load(*self._reader.place(number, self._last_with(number)))
        self._reader.frames_into(room, number, number)

    def _last_with(self, number: int) -> int:
        """The last frame that is fetched with one: wanted, too, and not far away."""
        offsets = self._reader.table.offsets
        end = bisect_right(offsets, offsets[number] + self._ahead) - 2  # the last that fits whole
        near = bisect_right(self._wanted, max(end, number))
        return max(number, self._wanted[near - 1]) if near else number


def _frames_of(starts: NDArray[np.uint64], ends: NDArray[np.uint64], frame_size: int) -> list[int]:
    """Numbers of the frames with a byte of what is wanted, in order."""
    firsts = starts // np.uint64(frame_size)
    lasts = (ends - np.uint64(1)) // np.uint64(frame_size)
    long = lasts - firsts > 1
    pairs = zip(firsts[long].tolist(), lasts[long].tolist(), strict=True)
    between = [np.arange(first + 1, last, dtype=np.uint64) for first, last in pairs]
    found: list[int] = np.unique(np.concatenate([firsts, lasts, *between])).tolist()
    return found
