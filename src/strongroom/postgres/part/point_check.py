"""Whether the files of a physical point are those that PostgreSQL sent, without writing them.

Bytes come in any order, from any thread. A file that came whole is held against the CRC32C of
PostgreSQL's own backup_manifest. Of one that came in part (an increment's) there is none: then
the page versions that were noted as it was read are held against its pages, where there are any.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE
from strongroom.postgres.pages.page_versions import KnownPages
from strongroom.postgres.restore.joined_crc import PartSums
from strongroom.postgres.restore.layout import Layout, RestoredFile
from strongroom.postgres.restore.restored_check import check_log, differing
from strongroom.postgres.wire.pg_manifest import parse_pg_manifest

_DECODED = 16  # files whose page versions are at hand: 1.5 MiB each at most


class PointCheck:
    """Give `write` every byte that the point has; then `wrong` says what is not as it was."""

    def __init__(
        self,
        files: Sequence[RestoredFile],
        pg_manifest: bytes,
        page_versions: Mapping[str, bytes],
    ) -> None:
        """Raises Corrupt when backup_manifest is none."""
        self._files = files
        self._told = parse_pg_manifest(pg_manifest)
        self._lock = threading.Lock()
        self._summed = {
            index
            for index, file in enumerate(files)
            if file.path in self._told.files and self._told.files[file.path].crc32c is not None
        }
        self._sums = PartSums()
        self._pages: dict[int, set[int]] = {}  # by file: pages that are others than were noted
        self._known = lru_cache(_DECODED)(lambda path: KnownPages(page_versions[path]))
        self._versions = page_versions

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Bytes of a file, by its number."""
        if index in self._summed:
            self._sums.note(index, offset, data)
        elif self._files[index].path in self._versions:
            self._compare_pages(index, offset, data)

    def _compare_pages(self, index: int, offset: int, data: memoryview) -> None:
        skipped = -offset % PAGE
        whole = data[skipped : skipped + (len(data) - skipped) // PAGE * PAGE]
        if not whole:
            return
        first = (offset + skipped) // PAGE
        with self._lock:
            known = self._known(self._files[index].path)
        found = known.differing(first, whole)
        if found:
            with self._lock:
                self._pages.setdefault(index, set()).update(found)

    def wrong(self, lost: Collection[int] = ()) -> dict[int, list[int]]:
        """Number of each file that is not as it was -> its pages, when it is known which.

        Files in `lost` were not given whole, for a reason that is known: they are left out.
        Raises Corrupt when log is missing that recovery needs, or a file that is named nowhere.
        """
        layout = Layout(Path("/"), self._files, (), {}, 0o600, 0o700)
        by_path = {file.path: index for index, file in enumerate(self._files)}
        found: dict[int, list[int]] = {}
        for path in differing(layout, self._told, self._sum):
            if path not in by_path:
                raise Corrupt(f"the point lacks {path}, which PostgreSQL's manifest names")
            found[by_path[path]] = []
        for index, pages in self._pages.items():
            found[index] = sorted(pages)
        check_log(layout, self._told)
        return {index: pages for index, pages in sorted(found.items()) if index not in lost}

    def _sum(self, index: int) -> tuple[int, int]:
        """(size, CRC32C) of a file, as a restore would write it: zeros where nothing came."""
        size = self._files[index].size
        return size, self._sums.of_file(index, size) if index in self._summed else 0
