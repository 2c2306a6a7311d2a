"""Page versions: the first three words of every page of a relation, and what has changed by them.

pd_lsn (two words: PostgreSQL keeps the high half first), then pd_checksum with pd_flags. Columns
of u32 as they lie on the pages, one after the other, compressed (docs/format.md). A page counts as
unchanged only if its words are those of the parent **and** the parent's pd_lsn is below the
parent's start: a page that was being written while the parent read it may be torn, with the new
head and the old rest, and only the parent's log repairs it (docs/decisions/0110). pd_flags is
among the words because VACUUM sets PD_ALL_VISIBLE without pd_lsn where checksums are off.
"""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
import zstandard

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE, Lsn

_WORDS = PAGE // 4  # of a page
COLUMNS = 3
_MOST_PAGES = 1 << 20  # of one file
_NO_VERSION = 0xFFFFFFFF  # both halves of pd_lsn: below nobody's start; all three: the parent's
_PARENTS = _NO_VERSION.to_bytes(4, "little")
_LEVEL = 3
_thread = threading.local()


def _compressed(columns: bytes) -> bytes:
    """By this thread's own compressor: to make one takes longer than the words of most files."""
    compressor: zstandard.ZstdCompressor | None = getattr(_thread, "compressor", None)
    if compressor is None:
        compressor = _thread.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return compressor.compress(columns)


class PageColumns:
    """The words of the pages of one file, in order."""

    def __init__(self) -> None:
        self.columns = tuple(bytearray() for _ in range(COLUMNS))

    def __len__(self) -> int:
        return len(self.columns[0]) // 4

    def add(self, pages: memoryview) -> tuple[bytes, ...]:
        """Take whole pages; returns their words, a column each."""
        words = np.frombuffer(pages, dtype=np.uint32).reshape(-1, _WORDS)
        found = tuple(words[:, place].tobytes() for place in range(COLUMNS))
        for column, more in zip(self.columns, found, strict=True):
            column.extend(more)
        return found

    def packed(self, pages: int | None = None, parents: int = 0) -> bytes:
        """As a manifest keeps them; of so many pages at the beginning, all when None.

        `parents`: so many pages after them are said to be as the parent's.
        """
        end, rest = None if pages is None else 4 * pages, _PARENTS * parents
        columns = b"".join(column[:end] + rest for column in self.columns)
        return _compressed(columns)


class PagesInPart:
    """The words of some pages of one file, which come in order; no others are known."""

    def __init__(self) -> None:
        self._blocks: list[int] = []
        self._came = PageColumns()

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, blocks: Sequence[int], pages: memoryview) -> tuple[bytes, ...]:
        """Take the next ones, whose numbers `blocks` are; returns their words, a column each."""
        self._blocks += blocks
        return self._came.add(pages)

    def packed(self, pages: int = _MOST_PAGES) -> bytes:
        """As `PageColumns.packed`; a page that did not come is zeros, and never kept.

        Nor is one that came without a pd_lsn; but that it came can be told.
        """
        count = bisect_left(self._blocks, pages)
        blocks = self._blocks[:count]
        came = np.array([np.frombuffer(each, np.uint32)[:count] for each in self._came.columns])
        came[:2, (came[:2] == 0).all(axis=0)] = _NO_VERSION
        columns = np.zeros((COLUMNS, blocks[-1] + 1 if blocks else 0), dtype=np.uint32)
        columns[:, blocks] = came
        return _compressed(columns.tobytes())


class ParentPages:
    """What the parent, or a try that broke off, knew of the pages of one file.

    count: of so many pages at the beginning it knows anything; own: of so many it says so itself,
    what comes then is as the parent's.
    """

    def __init__(self, packed: bytes, start: Lsn, most: int = _MOST_PAGES) -> None:
        """`start`: the parent's start LSN; `most`: so many pages at the beginning may stay.

        Raises Corrupt when `packed` is no such record.
        """
        raw = unpacked(packed)
        length = len(raw) // COLUMNS
        self.count = min(length // 4, most)
        self.columns = tuple(raw[n * length : n * length + 4 * self.count] for n in range(COLUMNS))
        high, low = (array("I", column) for column in self.columns[:2])
        # A page of no pd_lsn says nothing of its age.
        self.doubted = bytes(
            not 0 < (upper << 32 | lower) < start for upper, lower in zip(high, low, strict=True)
        )
        self.own = self.count
        while self.own and self._is_parents(self.own - 1):
            self.own -= 1

    def _is_parents(self, page: int) -> bool:
        return all(column[4 * page : 4 * page + 4] == _PARENTS for column in self.columns)

    def over(self, parent: "ParentPages") -> "ParentPages":
        """The same, with the parent's words where it says that a page is as the parent's."""
        found = copy(self)
        found.count = max(self.own, min(self.count, parent.count))
        own, end = 4 * self.own, 4 * found.count
        found.columns = tuple(
            ours[:own] + theirs[own:end]
            for ours, theirs in zip(self.columns, parent.columns, strict=True)
        )
        found.doubted = self.doubted[: self.own] + parent.doubted[self.own : found.count]
        return found

    def changed(self, first: int, words: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
        """Runs (first page, page after the last) among the pages from `first` that have changed.

        `words` are theirs now. Pages that the parent does not know have changed.
        """
        count = len(words[0]) // 4
        begin = None
        for page in range(first, first + count) if self._differs(first, words, count) else ():
            if self._has_changed(page, page - first, words):
                begin = page if begin is None else begin
            elif begin is not None:
                yield begin, page
                begin = None
        if begin is not None:
            yield begin, first + count

    def has_changed(self, blocks: Sequence[int], words: tuple[bytes, ...]) -> list[int]:
        """Of pages with those numbers, whose words are these now: the places of the changed."""
        return [
            place for place, page in enumerate(blocks) if self._has_changed(page, place, words)
        ]

    def _differs(self, first: int, words: tuple[bytes, ...], count: int) -> bool:
        """Most stretches are as they were: three comparisons instead of a walk."""
        place = slice(4 * first, 4 * (first + count))
        return self.doubted.find(1, first, first + count) >= 0 or any(
            theirs[place] != ours for theirs, ours in zip(self.columns, words, strict=True)
        )

    def _has_changed(self, page: int, place: int, words: tuple[bytes, ...]) -> bool:
        return (
            page >= self.count
            or bool(self.doubted[page])
            or any(
                theirs[4 * page : 4 * page + 4] != ours[4 * place : 4 * place + 4]
                for theirs, ours in zip(self.columns, words, strict=True)
            )
        )


def cut(packed: bytes, pages: int) -> bytes:
    """A record of no more than so many pages at the file's beginning."""
    raw = unpacked(packed)
    length = len(raw) // COLUMNS
    if length <= 4 * pages:
        return packed
    columns = b"".join(raw[n * length : n * length + 4 * pages] for n in range(COLUMNS))
    return zstandard.compress(columns, _LEVEL)


class KnownPages:
    """What was noted of the pages of one file, to be held against the pages themselves."""

    def __init__(self, packed: bytes) -> None:
        """Raises Corrupt when it is no such record."""
        raw = unpacked(packed)
        length = len(raw) // COLUMNS
        self._columns = tuple(raw[n * length : (n + 1) * length] for n in range(COLUMNS))

    def differing(self, first: int, pages: memoryview) -> list[int]:
        """The numbers of those pages, from `first` on, that are not as they were noted."""
        words = PageColumns().add(pages)
        count = len(pages) // PAGE
        noted = [column[4 * first : 4 * (first + count)] for column in self._columns]
        if all(one == other for one, other in zip(noted, words, strict=True)):
            return []
        return [
            first + page
            for page in range(count)
            if any(
                one[4 * page : 4 * page + 4] != other[4 * page : 4 * page + 4]
                for one, other in zip(noted, words, strict=True)
            )
        ]


def unpacked(packed: bytes) -> bytes:
    """The columns of a record. Raises Corrupt when it is none."""
    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if size % (4 * COLUMNS) or size > 4 * COLUMNS * _MOST_PAGES:
            raise Corrupt("page versions of an impossible size")
        raw: bytes = zstandard.decompress(packed)
    except zstandard.ZstdError as error:
        raise Corrupt("page versions that cannot be read") from error
    if len(raw) != size:
        raise Corrupt("page versions that are cut off")
    return raw
