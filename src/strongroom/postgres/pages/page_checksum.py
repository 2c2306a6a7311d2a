"""The checksum on every page of a relation, of many pages at once.

Source: PostgreSQL src/include/storage/checksum_impl.h: 32 sums of FNV-1a's kind run side by side
over the 32-bit words of a page, with pd_checksum taken for zero; two rounds of zeros stir them,
their XOR is mixed with the block's number and reduced to 1 .. 65535. The sums are compiled
(docs/decisions/0240); where they could not be, what runs side by side there runs side by side
here too, over all pages at once, at a third of the speed (docs/decisions/0115).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strongroom import compiled
from strongroom.model.postgres import PAGE, Lsn
from strongroom.turns import IN_TURN

_SUMS = 32
_WORDS = PAGE // 4
_LINE = np.dtype(f"V{4 * _SUMS}")
_PRIME = np.uint32(16777619)
_SHIFT = np.uint32(17)
_HIGH = np.uint32(0xFFFF0000)
_LOW = np.uint32(0xFFFF)
# fmt: off
_FIRST = np.array([
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
], dtype=np.uint32)
# fmt: on
_Words = NDArray[np.uint32]


def wrong_pages(data: bytes | memoryview, first_block: int) -> list[int]:
    """Which of the whole pages in `data` are not as PostgreSQL wrote them: their indices.

    `first_block` is the number of the first one in its relation (not in its segment). A page that
    PostgreSQL has never filled is all zeros and has no checksum.
    """
    return wrong_among(data, np.arange(first_block, first_block + len(data) // PAGE))


def wrong_among(data: bytes | memoryview, blocks: Sequence[int] | NDArray[Any]) -> list[int]:
    """The same of pages that need not be neighbours; `blocks`: the number of each."""
    found = _wrong(data, np.asarray(blocks, dtype=np.uint32))
    return [int(index) for index in np.flatnonzero(found)]


def are_whole(pieces: Sequence[tuple[bytes, int]]) -> list[bool]:
    """Whether no page is wrong, of each of many small pieces: (whole pages, first block).

    All of them at once: a piece of a few pages costs as many steps of Python as one of hundreds.
    """
    lengths = [len(data) // PAGE for data, _ in pieces]
    blocks = np.concatenate(
        [
            np.arange(first, first + length, dtype=np.uint32)
            for (_, first), length in zip(pieces, lengths, strict=True)
        ]
    )
    wrong = _wrong(b"".join(data for data, _ in pieces), blocks)
    ends = np.cumsum([0, *lengths])
    return [not wrong[begin:end].any() for begin, end in pairwise(ends)]


def page_lsn(page: bytes | memoryview) -> Lsn:
    """pd_lsn of a page: PostgreSQL keeps the high half first."""
    high, low = int.from_bytes(page[:4], "little"), int.from_bytes(page[4:8], "little")
    return Lsn(high << 32 | low)


def _wrong(data: bytes | memoryview, blocks: _Words) -> NDArray[np.bool_]:
    """Of each page, whether it is wrong; `blocks`: its number in its relation."""
    words = np.frombuffer(data, dtype="<u4").reshape(-1, _WORDS)
    mixed = _sums(data, words) ^ blocks
    checksums = mixed % np.uint32(65535) + np.uint32(1)
    wrong: NDArray[np.bool_] = (words[:, 2] & _LOW) != checksums
    new = np.flatnonzero(words[:, 3] >> np.uint32(16) == 0)  # pd_upper
    if len(new):
        wrong[new] = words[new].any(axis=1)
    return wrong


def _sums(data: bytes | memoryview, words: _Words) -> _Words:
    """Of each page the XOR of its sums."""
    if compiled.page_sums is not None:
        return np.frombuffer(compiled.page_sums(data), dtype="<u4")
    with IN_TURN:
        return sums_in_steps(words)


def sums_in_steps(words: _Words) -> _Words:
    """The same of each row of words, where nothing is compiled."""
    lines = words.view(_LINE)  # of each page, what goes into the sums at once
    line = np.empty((len(words), _SUMS), dtype=np.uint32)
    room = line.view(_LINE)[:, 0]
    sums = np.empty_like(line)
    sums[:] = _FIRST
    mixed = np.empty_like(line)
    for number in range(lines.shape[1]):
        # Copied together first: to walk over pieces of 128 bytes costs more than all the sums.
        np.copyto(room, lines[:, number])
        if number == 0:
            line[:, 2] &= _HIGH
        _mix(sums, line, mixed)
    for _ in range(2):
        _mix(sums, np.uint32(0), mixed)
    folded: _Words = np.bitwise_xor.reduce(sums, axis=1)
    return folded


def _mix(sums: _Words, value: _Words | np.uint32, mixed: _Words) -> None:
    """One word into each sum, in place; `mixed` is room to work in, for none is made anew."""
    np.bitwise_xor(sums, value, out=mixed)
    np.multiply(mixed, _PRIME, out=sums)
    np.right_shift(mixed, _SHIFT, out=mixed)
    np.bitwise_xor(sums, mixed, out=sums)
