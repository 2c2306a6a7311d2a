"""CRC32C of a whole out of the sums of its parts, in whatever order the parts are read.

A sum is a polynomial over GF(2): bytes that follow multiply it by x^8 each, modulo CRC32C's own.
Source: Mark Adler, zlib's crc32_combine; the polynomial is Castagnoli's (RFC 3720, appendix B.4).
"""

import threading
from array import array
from functools import lru_cache

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from strongroom.model.errors import Corrupt

_POLYNOMIAL = 0x82F63B78  # reflected: the highest bit is x^0
_ONE = 1 << 31
_ALL_ONES = (1 << 32) - 1
_CACHED = 128 << 10  # bytes that are copied and summed at a time: the copy stays in a cache
_MANY = 64  # parts of a file, from which on they are joined side by side
_DIGIT = 11  # bits of a length that one table of powers serves
_Words = NDArray[np.uint32]


class PartSums:
    """Files by number, given in parts, in any order, from any thread: 24 bytes for each part."""

    def __init__(self) -> None:
        self._parts: dict[int, array[int]] = {}  # offset, length, CRC32C; offset, ...
        self._lock = threading.Lock()

    def note(self, file: int, offset: int, data: memoryview) -> None:
        """These bytes of a file, which are given no second time."""
        crc = 0
        for at in range(0, len(data), _CACHED):
            crc = google_crc32c.extend(crc, bytes(data[at : at + _CACHED]))
        with self._lock:
            self._parts.setdefault(file, array("Q")).extend((offset, len(data), crc))

    def of_file(self, file: int, size: int) -> int:
        """The CRC32C of its first `size` bytes: zeros where nothing was given."""
        parts = self._parts.get(file, array("Q"))
        if len(parts) >= 3 * _MANY:
            return _of_many(np.frombuffer(parts, np.uint64).reshape(-1, 3), size)
        row = iter(parts)
        crc = at = 0
        for offset, length, part in sorted(zip(row, row, row, strict=True)):
            if offset < at:
                raise _given_twice()
            crc = joined(crc, of_zeros(offset - at), offset - at)
            crc = joined(crc, part, length)
            at = offset + length
        return joined(crc, of_zeros(size - at), size - at)


def _of_many(parts: NDArray[np.uint64], size: int) -> int:
    """The same of rows of (offset, length, CRC32C).

    A CRC32C is linear in the bytes but for what zeros alone come to: without that, each part is
    moved to its place by itself, and all are added.
    """
    parts = parts[np.argsort(parts[:, 0])]
    ends = parts[:, 0] + parts[:, 1]
    if (parts[1:, 0] < ends[:-1]).any():
        raise _given_twice()
    ones = np.full(len(parts), _ALL_ONES, np.uint32)
    zeros = _products(ones, _shifts(parts[:, 1])) ^ ones
    moved = _products(parts[:, 2].astype(np.uint32) ^ zeros, _shifts(np.uint64(size) - ends))
    return int(np.bitwise_xor.reduce(moved)) ^ of_zeros(size)


def _given_twice() -> Corrupt:
    return Corrupt("a stretch of a file was given twice")


def _shifts(lengths: NDArray[np.uint64]) -> _Words:
    """x^(8 * length) of each."""
    found = np.full(len(lengths), _ONE, np.uint32)
    mask, digit = np.uint64((1 << _DIGIT) - 1), 0
    while (rest := lengths >> np.uint64(digit * _DIGIT)).any():
        found = _products(found, _powers(digit)[rest & mask])
        digit += 1
    return found


@lru_cache
def _powers(digit: int) -> _Words:
    """x^(8 * n * 2048^digit) for each n below 2048."""
    found = np.array([_ONE], np.uint32)
    for bit in range(_DIGIT):
        step = np.array([_shift(1 << (digit * _DIGIT + bit))], np.uint32)
        found = np.concatenate([found, _products(found, step)])
    return found


def _products(some: _Words, others: _Words) -> _Words:
    """Each of the one by each of the other."""
    found = np.zeros(len(some), np.uint32)
    zero, one = np.uint32(0), np.uint32(1)
    for bit in range(31, -1, -1):
        found ^= np.where(some >> np.uint32(bit) & one, others, zero)
        others = others >> one ^ np.where(others & one, np.uint32(_POLYNOMIAL), zero)
    return found


def joined(first: int, second: int, second_length: int) -> int:
    """The CRC32C of two stretches, one after the other, out of the sums of both."""
    return _multiplied(_shift(second_length), first) ^ second


@lru_cache(1024)
def of_zeros(length: int) -> int:
    """The CRC32C of so many zero bytes."""
    if length < 4096:
        return int(google_crc32c.value(bytes(length)))
    half = length // 2
    doubled = joined(of_zeros(half), of_zeros(half), half)
    return joined(doubled, of_zeros(length % 2), length % 2)


@lru_cache(1024)
def _shift(length: int) -> int:
    """x^(8 * length), modulo the polynomial."""
    found, power = _ONE, _multiplied(_ONE >> 4, _ONE >> 4)  # x^8
    while length:
        if length & 1:
            found = _multiplied(power, found)
        power = _multiplied(power, power)
        length >>= 1
    return found


def _multiplied(one: int, other: int) -> int:
    found, bit = 0, _ONE
    while one:
        if one & bit:
            found ^= other
            one ^= bit
        bit >>= 1
        other = other >> 1 ^ _POLYNOMIAL if other & 1 else other >> 1
    return found
