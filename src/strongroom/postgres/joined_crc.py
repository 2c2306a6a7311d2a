"""CRC32C of a whole out of the sums of its parts, in whatever order the parts are read.

A sum is a polynomial over GF(2): bytes that follow multiply it by x^8 each, modulo CRC32C's own.
Source: Mark Adler, zlib's crc32_combine; the polynomial is Castagnoli's (RFC 3720, appendix B.4).
"""

from functools import lru_cache

import google_crc32c

_POLYNOMIAL = 0x82F63B78  # reflected: the highest bit is x^0
_ONE = 1 << 31


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
