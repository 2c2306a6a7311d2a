"""One setting of the C library that uploads feel: keep freed memory for the next piece.

glibc gives every freed buffer beyond a size back to the kernel, and the next one comes as fresh
pages that must be zeroed: with four uploads at a time that was two thirds of the endpoint's system
time (3.1 s a GiB against 0.8). What is kept is bounded by what uploads hold at their peak.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_KEEP_BYTES = 64 << 20


def keep_freed_memory() -> None:
    """For this whole process. Where the C library has no such setting, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_MMAP_THRESHOLD, _KEEP_BYTES // 2)
        mallopt(_ARENA_MAX, 1)
