"""CRC32C of a whole out of the sums of its parts, in whatever order the parts are read.

A sum is a polynomial over GF(2): bytes that follow multiply it by x^8 each, modulo CRC32C's own.
Source: Mark Adler, zlib's crc32_combine; the polynomial is Castagnoli's (RFC 3720, appendix B.4).
"""

import threading
from array import array
from functools import lru_cache

import google_crc32c

from strongroom.model.errors import Corrupt

_POLYNOMIAL = 0x82F63B78  # reflected: the highest bit is x^0
_ONE = 1 << 31
_CACHED = 128 << 10  # bytes that are copied and summed at a time: the copy stays in a cache


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
        row = iter(self._parts.get(file, ()))
        crc = at = 0
        for offset, length, part in sorted(zip(row, row, row, strict=True)):
            if offset < at:
                raise Corrupt("a stretch of a file was given twice")
            crc = joined(crc, of_zeros(offset - at), offset - at)
            crc = joined(crc, part, length)
            at = offset + length
        return joined(crc, of_zeros(size - at), size - at)


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
