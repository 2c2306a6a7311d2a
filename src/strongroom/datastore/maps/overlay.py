"""Extents of a delta over those of its parent: many rows at once, for there are millions.

All bytes of all files are thought of as one line, file after file; then one search among the
delta's extents, which are sorted, says for each of the parent's what stays of it. It is done for
some files after the others, so that memory goes into what comes of it and little else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import FileFacts, PackFacts
from strongroom.model.errors import Corrupt

Ints = NDArray[np.int64]
_BEYOND = np.iinfo(np.int64).max
_AT_ONCE = 1 << 17  # rows; the files in which they lie are looked at together
_STORED = {"file": "<u4", "offset": "<u8", "length": "<u8", "pack": "<u4", "raw": "<u4"}


@dataclass(frozen=True, slots=True)
class Tree:
    """The files that there will be, in their order.

    sizes: what neither the parent's extents nor the delta's go beyond. limits: so many bytes at
    the beginning stay the parent's where the delta has none. older, newer: the places in this tree
    of the parent's files and of the delta's; -1: it is gone.
    """

    files: list[FileFacts]
    sizes: list[int]
    limits: list[int]
    older: list[int]
    newer: list[int]

    def add(self, file: FileFacts, size: int, limit: int) -> None:
        """The next file."""
        self.files.append(file)
        self.sizes.append(size)
        self.limits.append(min(limit, file.size))


def laid_over(
    tree: Tree, theirs: Extents, ours: Extents, packs: Sequence[PackFacts], first_of_ours: int
) -> tuple[dict[str, bytes], list[PackFacts]]:
    """The extents as they stand in a manifest, and the packs that they name, by first use.

    `packs`: of the parent, and from `first_of_ours` on those of the delta.
    """
    line = _Line(tree.sizes)
    limits = np.array(tree.limits, dtype=np.int64)
    older = _Source(theirs, tree.older, len(tree.files))
    newer = _Source(ours, tree.newer, len(tree.files), first_of_ours)
    used = _UsedPacks(packs)
    found: dict[str, list[bytes]] = {name: [] for name in _STORED}
    for first, last in _stretches(older.ends + newer.ends):
        over = newer.rows(first, last)
        whole = line.sorted(_left_over(older.rows(first, last), over, limits, line), over)
        for name, kind in _STORED.items():
            column = used.numbered(whole.pack) if name == "pack" else getattr(whole, name)
            found[name].append(column.astype(kind).tobytes())
    return {name: b"".join(found.pop(name)) for name in _STORED}, used.packs


def covered_bytes(extents: Extents, files: int) -> list[int]:
    """Of each of so many files, how many bytes lie in the extents."""
    file, _, length, _, _ = extents.columns()
    covered = np.zeros(files, dtype=np.int64)
    np.add.at(covered, file, length.astype(np.int64))
    found: list[int] = covered.tolist()
    return found


@dataclass(frozen=True, slots=True)
class _Rows:
    """Extents, a column for each of their fields."""

    file: Ints
    offset: Ints
    length: Ints
    pack: Ints
    raw: Ints


class _Source:
    """Extents under other numbers of their files and packs. `ends`: rows up to each file's end."""

    def __init__(
        self, extents: Extents, places: Sequence[int], files: int, packs_from: int = 0
    ) -> None:
        self._columns = extents.columns()
        self._packs_from = packs_from
        self._file = np.array(places, dtype=np.int32)[self._columns[0]]
        order = np.argsort(self._file, kind="stable")
        self._order = order[np.count_nonzero(self._file < 0) :]
        counts = np.bincount(self._file[self._order], minlength=files)
        self.ends: Ints = np.cumsum(counts)

    def rows(self, first: int, last: int) -> _Rows:
        """Of the files from `first` to before `last`, by (file, offset)."""
        begin = self.ends[first - 1] if first else 0
        which = self._order[begin : self.ends[last - 1]]
        _, offset, length, pack, raw = (column[which].astype(np.int64) for column in self._columns)
        file = self._file[which].astype(np.int64)
        return _Rows(file, offset, length, pack + self._packs_from, raw)


def _stretches(ends: Ints) -> Iterator[tuple[int, int]]:
    """(first file, file after the last) so that each has about as many rows as we want at once."""
    first = 0
    while first < len(ends):
        enough = (ends[first - 1] if first else 0) + _AT_ONCE
        last = max(int(np.searchsorted(ends, enough, side="right")), first + 1)
        yield first, last
        first = last


class _Line:
    """All files, laid end to end."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._begins = np.zeros(len(sizes) + 1, dtype=np.int64)
        np.cumsum(np.array(sizes, dtype=np.int64), out=self._begins[1:])

    def places(self, rows: _Rows) -> Ints:
        """Where the rows begin on it."""
        found: Ints = self._begins[rows.file] + rows.offset
        return found

    def sorted(self, *parts: _Rows) -> _Rows:
        """All of their rows, by (file, offset)."""
        whole = _Rows(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in _STORED)
        )
        order = np.argsort(self.places(whole), kind="stable")
        return _Rows(*(getattr(whole, name)[order] for name in _STORED))


class _UsedPacks:
    """The packs that are named, in the order of their first use; the same one is one."""

    def __init__(self, packs: Sequence[PackFacts]) -> None:
        self.packs: list[PackFacts] = []
        self._all = packs
        self._numbers = np.full(len(packs), -1, dtype=np.int64)
        self._places: dict[bytes, int] = {}

    def numbered(self, given: Ints) -> Ints:
        """Their numbers among the used ones."""
        found, first = np.unique(given, return_index=True)
        for number in found[np.argsort(first)].tolist():
            if self._numbers[number] < 0:
                self._numbers[number] = self._place(self._all[number])
        numbers: Ints = self._numbers[given]
        return numbers

    def _place(self, pack: PackFacts) -> int:
        place = self._places.setdefault(pack.id, len(self.packs))
        if place == len(self.packs):
            self.packs.append(pack)
        elif self.packs[place] != pack:
            raise Corrupt(f"the delta and its parent disagree about pack {pack.pack_id}")
        return place


def _left_over(theirs: _Rows, ours: _Rows, limits: Ints, line: _Line) -> _Rows:
    """What stays of `theirs`, below the limit of its file and around `ours`, which are sorted."""
    start = line.places(theirs)
    end = start + np.minimum(theirs.length, limits[theirs.file] - theirs.offset)
    covered = line.places(ours)
    # Between two of ours, before the first and after the last, there is room: a gap.
    gap_begins = np.concatenate([[0], covered + ours.length])
    gap_ends = np.concatenate([covered, [_BEYOND]])
    first = np.searchsorted(gap_ends, start, side="right")
    after = np.searchsorted(gap_begins, end, side="left")
    count = np.where(start < end, np.maximum(after - first, 0), 0)
    row = np.repeat(np.arange(len(start)), count)
    gap = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - first, count)
    begins = np.maximum(start[row], gap_begins[gap])
    lengths = np.minimum(end[row], gap_ends[gap]) - begins
    stays = np.flatnonzero(lengths > 0)
    row = row[stays]
    skipped = begins[stays] - start[row]
    return _Rows(
        theirs.file[row],
        theirs.offset[row] + skipped,
        lengths[stays],
        theirs.pack[row],
        theirs.raw[row] + skipped,
    )
