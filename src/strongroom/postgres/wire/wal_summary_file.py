"""One file of pg_wal/summaries (PostgreSQL 17 and later): which blocks a range of log touched.

Source: PostgreSQL src/common/blkreftable.c and src/backend/backup/walsummary.c. u32 magic; of each
fork six u32 (tablespace, database, relation, fork, limit block, number of chunks), a u16 for each
chunk, and the chunks: of 65536 blocks each, as u16 offsets or, where those would be as long, a bit
for each block; an entry of zeros; CRC-32C of all before it. Integers are the server's own; every
platform it runs on today is little endian.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import Lsn, Timeline

_MAGIC = 0x652B137B
_CHUNK = 1 << 16  # blocks
_BITMAP = _CHUNK // 16  # of so many u16 a chunk is a bitmap
_HEAD = struct.Struct("<6I")
_ENTRY = _HEAD.size
_NO_LIMIT = 0xFFFFFFFF  # InvalidBlockNumber
_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{16})([0-9A-F]{16})\.summary")


@dataclass(frozen=True, slots=True)
class SummaryRange:
    """Log of one timeline from `start` to before `end`: what a summary is of, or what is asked."""

    timeline: Timeline
    start: Lsn
    end: Lsn


@dataclass(frozen=True, slots=True)
class ForkChanges:
    """Of one fork of a relation: `blocks` were written, all from `limit` on may be other ones.

    relation 0: the database as a whole was made anew. blocks: ascending. limit None: it was
    neither created nor cut off.
    """

    tablespace: int
    database: int
    relation: int
    fork: int  # 0 main, 1 free space map, 2 visibility map, 3 init
    limit: int | None
    blocks: NDArray[np.uint32]


def summary_range(name: str) -> SummaryRange | None:
    """What a file's name says of it; None for a file that is no summary."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    timeline, start, end = (int(digits, 16) for digits in found.groups())
    return SummaryRange(Timeline(timeline), Lsn(start), Lsn(end))


def parse_wal_summary(raw: bytes) -> Iterator[ForkChanges]:
    """Fork by fork. Raises Corrupt when the bytes are no such file, before the first one."""
    if len(raw) < 4 + _ENTRY + 4 or int.from_bytes(raw[:4], "little") != _MAGIC:
        raise Corrupt("a WAL summary does not begin as one")
    if google_crc32c.value(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
        raise Corrupt("a WAL summary does not match its own checksum")
    return _forks(raw)


def _forks(raw: bytes) -> Iterator[ForkChanges]:
    place, end = 4, len(raw) - 4
    while place + _ENTRY <= end:
        space, database, relation, fork, limit, chunks = _HEAD.unpack_from(raw, place)
        place += _ENTRY
        if not any((space, database, relation, fork, limit, chunks)):
            if place != end:
                break
            return
        if place + 2 * chunks > end:
            break
        lengths = np.frombuffer(raw, "<u2", chunks, place)
        place += 2 * chunks
        words = int(lengths.sum(dtype=np.int64))
        if place + 2 * words > end:
            break
        blocks = _blocks(np.frombuffer(raw, "<u2", words, place), lengths)
        place += 2 * words
        edge = None if limit == _NO_LIMIT else limit
        yield ForkChanges(space, database, relation, fork, edge, blocks)
    raise Corrupt("a WAL summary is cut off")


def _blocks(words: NDArray[np.uint16], lengths: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Chunk after chunk, in order."""
    found = [np.empty(0, np.uint32)]
    for number, chunk in enumerate(np.split(words, np.cumsum(lengths, dtype=np.int64)[:-1])):
        if len(chunk) == _BITMAP:
            bits = np.unpackbits(chunk.view(np.uint8), bitorder="little")
            offsets = np.flatnonzero(bits).astype(np.uint32)
        else:
            offsets = np.sort(chunk).astype(np.uint32)
        found.append(offsets + np.uint32(number * _CHUNK))
    return np.concatenate(found)
