"""Whether the pages that were read are whole: torn ones are read again, damaged ones told."""

import os
import threading
from collections.abc import Callable, Sequence

import numpy as np

from strongroom.model.postgres import PAGE, Lsn
from strongroom.postgres.backup.data_directory import segment_of
from strongroom.postgres.pages.damaged_file import DamagedFile
from strongroom.postgres.pages.page_checksum import are_whole, page_lsn, wrong_among, wrong_pages

PAGES_OF_SEGMENT = (1 << 30) // PAGE  # RELSEG_SIZE; no packager changes it
_LOOKS = 4
_PAUSE = 0.01  # seconds: far longer than PostgreSQL takes to write a page
_NEVER = threading.Event()


class PageCheck:
    """Checks what is read of relations. `position` asks the server how far its log has come."""

    def __init__(self, start: Lsn, position: Callable[[], Lsn]) -> None:
        self._start = start
        self._position = position

    def of_file(self, descriptor: int, path: str) -> "FileCheck | None":
        """None for a file whose pages carry no checksums."""
        segment = segment_of(path)
        if segment is None:
            return None
        first = segment * PAGES_OF_SEGMENT
        return FileCheck(descriptor, path, first, self._is_damaged)

    def are_whole(self, files: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Whether each file, (path, all its bytes), is as it should be, or has no checksums."""
        pieces = []
        for path, data in files:
            segment = segment_of(path)
            pages = b"" if segment is None else data[: len(data) // PAGE * PAGE]
            pieces.append((pages, (segment or 0) * PAGES_OF_SEGMENT))
        return are_whole(pieces)

    def _is_damaged(self, page: bytes) -> bool:
        """Whether the log cannot repair it: it was not changed since the start.

        A page beyond what has been logged was never written so: the very bytes of its LSN are
        damaged. One in between may be torn, and its full image is in the log of the backup.
        """
        lsn = page_lsn(page)
        return lsn < self._start or lsn > self._position()


class FileCheck:
    """Of one open file. Safe for threads that read different pieces of it."""

    def __init__(
        self, descriptor: int, path: str, first: int, is_damaged: Callable[[bytes], bool]
    ) -> None:
        self._descriptor = descriptor
        self._first = first
        self._is_damaged = is_damaged
        self._lock = threading.Lock()  # one question to the server at once
        self.damaged = DamagedFile(path)

    def checked(self, data: bytes, offset: int) -> bytes:
        """The same bytes, or what lay there a moment later where a page was not whole."""
        first, pages = offset // PAGE, len(data) // PAGE
        return self.checked_pages(data, range(first, first + pages))

    def checked_pages(self, data: bytes, blocks: Sequence[int]) -> bytes:
        """The same of pages that need not be neighbours; `blocks`: their numbers in the file."""
        if not blocks:
            return data
        numbers = np.asarray(blocks, dtype=np.uint32) + np.uint32(self._first)
        wrong = wrong_among(memoryview(data)[: len(blocks) * PAGE], numbers)
        if not wrong:
            return data
        mended = bytearray(data)
        for _ in range(_LOOKS):
            _NEVER.wait(_PAUSE)
            wrong = [each for each in wrong if not self._read_again(mended, each, blocks[each])]
            if not wrong:
                break
        for index in wrong:
            with self._lock:
                if self._is_damaged(bytes(mended[index * PAGE : (index + 1) * PAGE])):
                    self.damaged.add(self._first + blocks[index])
        return bytes(mended)

    def _read_again(self, data: bytearray, index: int, block: int) -> bool:
        """Whether the page is whole now; its newest bytes are put in place."""
        page = os.pread(self._descriptor, PAGE, block * PAGE)
        if len(page) < PAGE:  # the relation was truncated: the log says so too
            return True
        data[index * PAGE : (index + 1) * PAGE] = page
        return not wrong_pages(page, self._first + block)
