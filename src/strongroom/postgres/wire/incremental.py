"""The INCREMENTAL.* members of an incremental base backup (PostgreSQL 17 and later).

Source: PostgreSQL src/backend/backup/basebackup.c, sendFile, and src/bin/pg_combinebackup/
reconstruct.c: u32 magic, u32 number of blocks, u32 truncation block length, the block numbers,
zeros up to the next block when there are blocks, the blocks. Integers are the server's own; every
platform it runs on today is little endian.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE

MAGIC = 0xD3AE1F0D
PREFIX = "INCREMENTAL."
MOST_BLOCKS = 1 << 20  # of one segment; PostgreSQL's are 131072 blocks unless it was built anew
_FIXED = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class IncrementalFile:
    """What a file is now. Bytes.

    kept: of the parent's file, so many at the beginning count where no block comes.
    """

    size: int
    kept: int


def whole_name(path: str) -> str | None:
    """`base/5/INCREMENTAL.1259.1` -> `base/5/1259.1`; None for any other path."""
    directory, slash, name = path.rpartition("/")
    if not name.startswith(PREFIX) or len(name) == len(PREFIX):
        return None
    return f"{directory}{slash}{name.removeprefix(PREFIX)}"


class IncrementalReader:
    """Feed the bytes of one member in pieces of any size.

    Out come its `IncrementalFile`, once, and then (numbers of blocks, the whole blocks) in
    ascending order. `blocks`: all of those numbers, once the file is known.
    """

    blocks: tuple[int, ...] = ()

    def __init__(self, member_size: int) -> None:
        self._left = member_size
        self._head = bytearray()
        self._wanted = _FIXED.size
        self._began = False
        self._came = 0  # blocks
        self._rest = b""  # of a block that has not come whole

    def feed(
        self, piece: bytes | memoryview
    ) -> Iterator[IncrementalFile | tuple[tuple[int, ...], memoryview]]:
        """Raises Corrupt when the bytes are no such file."""
        view = memoryview(piece)
        if len(view) > self._left:
            raise Corrupt("an incremental file is longer than its member")
        self._left -= len(view)
        while not self._began:
            taken = min(self._wanted - len(self._head), len(view))
            self._head += view[:taken]
            view = view[taken:]
            if len(self._head) < self._wanted:
                return
            if self._take_head():
                yield self._begin()
        whole = memoryview(self._rest + view) if self._rest else view
        count = len(whole) // PAGE
        self._rest = bytes(whole[count * PAGE :])
        blocks = self.blocks[self._came : self._came + count]
        if len(blocks) < count or (self._rest and self._came + count == len(self.blocks)):
            raise Corrupt("an incremental file goes on after its last block")
        self._came += count
        if count:
            yield blocks, whole[: count * PAGE]

    def finish(self) -> None:
        """All bytes of the member have come; Corrupt when blocks are missing."""
        if not self._began or self._came < len(self.blocks) or self._left:
            raise Corrupt("an incremental file stops before its last block")

    def _take_head(self) -> bool:
        """Whether the head is complete; else how much of it there is becomes known."""
        magic, count, truncation = _FIXED.unpack_from(self._head)
        if magic != MAGIC or count > MOST_BLOCKS or truncation > MOST_BLOCKS:
            raise Corrupt("an incremental file does not begin as one")
        length = _FIXED.size + 4 * int(count)
        self._wanted = length + (-length % PAGE if count else 0)
        return len(self._head) == self._wanted

    def _begin(self) -> IncrementalFile:
        _, count, truncation = _FIXED.unpack_from(self._head)
        blocks = struct.unpack_from(f"<{count}I", self._head, _FIXED.size)
        if any(later <= earlier for earlier, later in pairwise(blocks)):
            raise Corrupt("the blocks of an incremental file are out of order")
        if blocks and blocks[-1] >= MOST_BLOCKS:
            raise Corrupt("a block of an incremental file lies beyond any segment")
        self.blocks, self._began = blocks, True
        length = max(truncation, blocks[-1] + 1 if blocks else 0)
        return IncrementalFile(size=length * PAGE, kept=truncation * PAGE)
