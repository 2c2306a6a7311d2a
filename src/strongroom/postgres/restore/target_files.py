"""The files of a target while they are written: large pieces past the page cache, to the disk.

What the page cache takes must be copied, into memory that the kernel clears first, and goes to the
disk later all the same. A restore of many gigabytes has no use for that: written directly it costs
a tenth of the processor, and the last sync has nothing left to wait for. Small pieces, and what is
beside whole blocks, go the usual way; so does all where a file system knows no direct writes.
Source: open(2), O_DIRECT.
"""

import ctypes
import errno
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from strongroom.postgres.restore.beneath import OpenFiles, begin_sync, write_at

_BLOCK = 4096  # of which offsets, lengths and addresses are multiples: no disk asks for more
_WORTH_IT = 128 << 10  # bytes; a smaller piece would wait for the disk longer than it is copied
_ROOM = 1 << 20
_thread = threading.local()


class TargetFiles:
    """Bounded sets of open files for any number of threads.

    `open_one(file, flags)` opens a file by its number to write. `direct`: pieces may go past the
    page cache; what does not is begun to be synced.
    """

    def __init__(self, open_one: Callable[[int, int], int], *, direct: bool) -> None:
        self._open = OpenFiles(lambda file: open_one(file, 0))
        self._open_direct = OpenFiles(lambda file: open_one(file, os.O_DIRECT))
        self._is_lasting = direct
        self._is_direct = direct and hasattr(os, "O_DIRECT")

    def write(self, file: int, data: memoryview, offset: int) -> None:
        """All of it. Raises OSError."""
        before = -offset % _BLOCK
        blocks = (len(data) - before) // _BLOCK * _BLOCK
        if not self._is_direct or blocks < _WORTH_IT:
            self._write(file, data, offset)
            return
        self._write(file, data[:before], offset)
        done = self._write_blocks(file, data[before : before + blocks], offset + before)
        self._write(file, data[before + done :], offset + before + done)

    def _write(self, file: int, data: memoryview, offset: int) -> None:
        if not data:
            return
        with self._open.borrowed(file) as descriptor:
            write_at(descriptor, data, offset)
            if self._is_lasting:
                begin_sync(descriptor, offset, len(data))

    def _write_blocks(self, file: int, data: memoryview, offset: int) -> int:
        """Directly -> how many bytes of it, whole blocks; none where that cannot be."""
        done = 0
        try:
            with self._open_direct.borrowed(file) as descriptor:
                while done < len(data):
                    piece = _aligned(data[done:])
                    count = os.pwrite(descriptor, piece, offset + done) // _BLOCK * _BLOCK
                    if count == 0:
                        break
                    done += count
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
                raise
            self._is_direct = False
        return done

    @contextmanager
    def borrowed(self, file: int) -> Iterator[int]:
        """A descriptor that stays open within, for whoever writes himself."""
        with self._open.borrowed(file) as descriptor:
            yield descriptor

    def close(self) -> None:
        """Close all; safe twice."""
        self._open.close()
        self._open_direct.close()


def _aligned(data: memoryview) -> memoryview:
    """The same bytes, or the first of them, where direct writes may take them from."""
    if _address(data) % _BLOCK == 0:
        return data
    room: memoryview | None = getattr(_thread, "room", None)
    if room is None:
        room = _thread.room = memoryview(mmap.mmap(-1, _ROOM))
    count = min(len(room), len(data))
    room[:count] = data[:count]
    return room[:count]


def _address(data: memoryview) -> int:
    if data.readonly:
        return 1  # as if it lay anywhere
    return ctypes.addressof(ctypes.c_char.from_buffer(data))
