"""Which stretches of a file that stands there already are not as a recovery point says."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import google_crc32c

from strongroom.model.postgres import PAGE, Lsn
from strongroom.postgres.data_directory import segment_of
from strongroom.postgres.page_check import PAGES_OF_SEGMENT
from strongroom.postgres.page_checksum import wrong_pages
from strongroom.postgres.page_versions import PageColumns, ParentPages

_CHUNK = 2 << 20


@dataclass(frozen=True, slots=True)
class ToldFile:
    """What the point says of a file.

    versions: as a manifest keeps them; None where they are not to be believed.
    crc32c: of the whole file, by PostgreSQL's own manifest; None where it has none.
    """

    path: str
    size: int
    versions: bytes | None
    start_lsn: Lsn
    crc32c: int | None


def differing(
    descriptor: int, told: ToldFile, watch: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """(start, end) in bytes of all that may differ from the point, in order.

    `watch` is told how many bytes have just been read, and may raise to stop.
    """
    there = os.fstat(descriptor).st_size
    segment = segment_of(told.path)
    if told.versions is not None and segment is not None:
        known = ParentPages(told.versions, told.start_lsn)
        common = min(there, told.size) // PAGE * PAGE
        yield from _pages(descriptor, common, known, segment * PAGES_OF_SEGMENT, watch)
        yield common, told.size
    elif told.crc32c is None or there != told.size or _sum(descriptor, watch) != told.crc32c:
        yield 0, told.size


def _pages(
    descriptor: int,
    size: int,
    known: ParentPages,
    first_block: int,
    watch: Callable[[int], None],
) -> Iterator[tuple[int, int]]:
    """Of whole pages: those whose words differ, and those that are damaged."""
    for offset in range(0, size, _CHUNK):
        data = os.pread(descriptor, min(_CHUNK, size - offset), offset)
        first = offset // PAGE
        words = PageColumns().add(memoryview(data))
        differs = bytearray(len(data) // PAGE)
        for begin, end in known.changed(first, words):
            differs[begin - first : end - first] = b"\1" * (end - begin)
        for page in wrong_pages(data, first_block + first):
            differs[page] = 1
        watch(len(data))
        for begin, end in _runs(differs):
            yield (first + begin) * PAGE, (first + end) * PAGE


def _runs(marks: bytearray) -> Iterator[tuple[int, int]]:
    begin = marks.find(1)
    while begin >= 0:
        end = marks.find(0, begin)
        end = len(marks) if end < 0 else end
        yield begin, end
        begin = marks.find(1, end)


def _sum(descriptor: int, watch: Callable[[int], None]) -> int:
    crc, offset = 0, 0
    while data := os.pread(descriptor, _CHUNK, offset):
        crc = google_crc32c.extend(crc, data)
        offset += len(data)
        watch(len(data))
    return crc
