"""Extents: where the bytes of files lie in packs. Columns of integers, for there are many.

In an object each column is little-endian, `file` u32, `offset` u64, `length` u64, `pack` u32 and
`raw` u32, all of one count, sorted by (file, offset); no two extents of a file overlap.
"""

import array
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from strongroom.model.errors import Corrupt

_AT_ONCE = 1 << 17  # rows that are checked together
_COLUMNS = {"file": "I", "offset": "Q", "length": "Q", "pack": "I", "raw": "I"}


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """`length` bytes of `file` at `offset` are the raw stream of `pack` at `raw`."""

    file: int
    offset: int
    length: int
    pack: int
    raw: int

    @property
    def end(self) -> int:
        """The first byte of the file after it."""
        return self.offset + self.length


class Extents(Sequence[Extent]):
    """Rows out of columns: 28 bytes each in memory, an `Extent` only while it is looked at."""

    def __init__(self, columns: Sequence["array.array[int]"]) -> None:
        self._columns = columns
        if len({len(column) for column in columns}) != 1:
            raise Corrupt("the columns of extents do not fit together")

    @classmethod
    def of_columns(cls, stored: Mapping[str, bytes]) -> "Extents":
        """As they stand in a manifest or a delta; Corrupt when they do not fit together."""
        if set(stored) != set(_COLUMNS):
            raise Corrupt("the columns of extents are not those that they should be")
        try:
            return cls([from_little(code, stored[name]) for name, code in _COLUMNS.items()])
        except ValueError as error:
            raise Corrupt("a column of extents is cut off") from error

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> Extent:  # type: ignore[override]  # no slices
        return Extent(*(column[index] for column in self._columns))

    def __iter__(self) -> Iterator[Extent]:
        return map(Extent, *self._columns)

    def of_file(self, file: int | None) -> list[Extent]:
        """Those of one file; none of None."""
        if file is None:
            return []
        first = bisect_left(self._columns[0], file)
        return [self[row] for row in range(first, bisect_right(self._columns[0], file, first))]

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Views of file, offset, length, pack and raw: u32, u64, u64, u32, u32."""
        return tuple(np.asarray(column) for column in self._columns)

    def check(self, sizes: Sequence[int], packs: int, most_raw: int) -> None:
        """Sorted, not overlapping, inside their file and their pack; Corrupt otherwise.

        Whoever made them may have meant to: no sum is taken that could go round.
        """
        room = np.array(sizes, dtype=np.uint64)
        for start in range(0, len(self), _AT_ONCE):
            rows = slice(max(start - 1, 0), start + _AT_ONCE)  # the last of those before, too
            _check(tuple(column[rows] for column in self.columns()), room, packs, most_raw)


def _check(columns: tuple[NDArray[Any], ...], sizes: NDArray[Any], packs: int, most: int) -> None:
    file, offset, length, pack, raw = columns
    if file.max() >= len(sizes) or pack.max() >= packs or (file[1:] < file[:-1]).any():
        raise Corrupt("an extent names no file or pack, or is not in its place")
    room = sizes[file]
    if (
        not length.all()
        or (length > np.minimum(room, np.uint64(most))).any()
        or (offset > room - length).any()
        or (raw > np.uint64(most) - length).any()
    ):
        raise Corrupt("an extent lies outside its file or its pack")
    if ((file[1:] == file[:-1]) & (offset[1:] < (offset + length)[:-1])).any():
        raise Corrupt("an extent lies over another one")


class Ranges:
    """Stretches of files: 16 bytes each in memory. Added in order, none over another."""

    def __init__(self) -> None:
        self._files: dict[int, array.array[int]] = {}

    def add(self, file: int, start: int, end: int) -> None:
        """Bytes `start` to `end` of a file; joined to the stretch that ends where it begins."""
        if start >= end:
            return
        bounds = self._files.setdefault(file, array.array("Q"))
        if bounds and bounds[-1] == start:
            bounds[-1] = end
        else:
            bounds.extend((start, end))

    def of_file(self, file: int) -> Iterator[tuple[int, int]]:
        """(start, end) in order."""
        bounds = self._files.get(file, ())
        return zip(bounds[::2], bounds[1::2], strict=True)

    def files(self) -> list[int]:
        """Those of which anything was added."""
        return sorted(self._files)

    def total_bytes(self) -> int:
        """Of all stretches."""
        return sum(sum(b[1::2]) - sum(b[::2]) for b in self._files.values())


def within(extents: Extents, ranges: Ranges) -> tuple[Extents, Ranges]:
    """What of the extents lies in the ranges, and what of the ranges lies in no extent."""
    columns = [array.array(code) for code in _COLUMNS.values()]
    bare = Ranges()
    rows = iter(extents)
    row = next(rows, None)
    for file in ranges.files():
        for begin, end in ranges.of_file(file):
            start = begin
            while row is not None and (row.file, row.end) <= (file, start):
                row = next(rows, None)
            while row is not None and row.file == file and row.offset < end:
                bare.add(file, start, row.offset)
                start = max(start, row.offset)
                stop = min(end, row.end)
                cut = (file, start, stop - start, row.pack, row.raw + start - row.offset)
                for column, value in zip(columns, cut, strict=True):
                    column.append(value)
                start = stop
                if row.end > end:
                    break
                row = next(rows, None)
            bare.add(file, start, end)
    return Extents(columns), bare


def columns_of(extents: Iterable[Extent]) -> dict[str, bytes]:
    """Rows -> columns, sorted by (file, offset)."""
    ordered = sorted(extents, key=lambda e: (e.file, e.offset))
    return {
        name: to_little(array.array(code, [getattr(e, name) for e in ordered]))
        for name, code in _COLUMNS.items()
    }


def to_little(values: "array.array[int]") -> bytes:
    """A column as it is stored; the array itself is not to be used any more."""
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def from_little(code: str, raw: bytes) -> "array.array[int]":
    """A stored column. Raises ValueError when it is cut off."""
    values = array.array(code)
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values
