"""Pages of a file that lie here and there, read as if they lay one after the other."""

import os

from strongroom.model.postgres import PAGE
from strongroom.model.runs import runs
from strongroom.postgres.backup.changed_blocks import FilePart
from strongroom.postgres.backup.page_check import FileCheck


class PartReader:
    """Of one open file. Safe for threads that read different stretches."""

    def __init__(self, descriptor: int, part: FilePart, check: FileCheck | None) -> None:
        self._descriptor = descriptor
        self._blocks = part.blocks
        self._check = check

    def read(self, length: int, offset: int) -> bytes:
        """As many bytes of the pages, from that byte of them on; zeros where the file is cut off.

        Both are multiples of a page.
        """
        blocks = self._blocks[offset // PAGE : (offset + length) // PAGE]
        stretches = [(first * PAGE, count * PAGE) for first, count in runs(blocks)]
        data = b"".join(read_at(self._descriptor, start, size) for start, size in stretches)
        return self._check.checked_pages(data, blocks.tolist()) if self._check else data


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """So many bytes from there; zeros where the file is cut off."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        data += more or bytes(length - len(data))
    return data
