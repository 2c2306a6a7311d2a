"""Extents: where the bytes of files lie in packs. Columns of integers, for there are many.

In an object each column is little-endian, `file` u32, `offset` u64, `length` u64, `pack` u32 and
`raw` u32, all of one count, sorted by (file, offset); no two extents of a file overlap.
"""

import array
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from strongroom.model.errors import Corrupt

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

    def check(self, sizes: Sequence[int], packs: int, most_raw: int) -> None:
        """Sorted, not overlapping, inside their file and their pack; Corrupt otherwise."""
        last_file, last_end = 0, 0
        for file, offset, length, pack, raw in zip(*self._columns, strict=True):
            if file != last_file:
                last_end = 0
            if file < last_file or file >= len(sizes) or pack >= packs or offset < last_end:
                raise Corrupt("an extent names no file or pack, or lies over another one")
            if not length or offset + length > sizes[file] or raw + length > most_raw:
                raise Corrupt("an extent lies outside its file or its pack")
            last_file, last_end = file, offset + length


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
