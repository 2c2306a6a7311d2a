"""Which stretches of a file that stands there already are not as a recovery point says."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strongroom.model.postgres import PAGE

_CHUNK = 2 << 20


@dataclass(frozen=True, slots=True)
class ToldFile:
    """What the point says of a file.

    differing: told where pages begin in the file and what lies there now, says a byte a page: 1
    where the point may have another one. It is asked in the order of the file; the last page may
    be short.
    """

    size: int
    differing: Callable[[int, memoryview], bytearray]


def differing(
    descriptor: int, told: ToldFile, watch: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """(start, end) in bytes of all that may differ from the point, in order.

    `watch` is told how many bytes have just been read, and may raise to stop.
    """
    there = os.fstat(descriptor).st_size
    common = told.size if there >= told.size else there // PAGE * PAGE
    for offset in range(0, common, _CHUNK):
        wanted = min(_CHUNK, common - offset)
        data = os.pread(descriptor, wanted, offset)
        if len(data) < wanted:  # it has become shorter since
            yield offset, common
            break
        watch(len(data))
        for begin, end in _runs(told.differing(offset, memoryview(data))):
            yield offset + begin * PAGE, min(offset + end * PAGE, told.size)
    yield common, told.size


def _runs(marks: bytearray) -> Iterator[tuple[int, int]]:
    begin = marks.find(1)
    while begin >= 0:
        end = marks.find(0, begin)
        end = len(marks) if end < 0 else end
        yield begin, end
        begin = marks.find(1, end)
