"""Restore a recovery point over the data directory that it was taken of: fetch what differs."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import Share
from strongroom.agent.restore.known_pages import KnownPages
from strongroom.datastore.maps.extents import Ranges, within
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files
from strongroom.model.errors import VaultError
from strongroom.model.restore.unfinished import left_in_place
from strongroom.model.work.operation import Progress
from strongroom.postgres.pages.page_compare import ToldFile
from strongroom.postgres.restore.in_place import InPlaceTarget

_ZEROS = memoryview(bytes(1 << 20))


class InPlace:
    """One restore: the target has been surveyed, nothing written."""

    def __init__(
        self,
        held: HeldLease,
        target: InPlaceTarget,
        manifest: Manifest,
        source: tuple[Blobs, Mapping[bytes, bytes]],
        share: Share,
    ) -> None:
        """`source`: where packs lie, and their content keys by id."""
        self._held = held
        self._target = target
        self._manifest = manifest
        self._source = source
        self._share = share
        self.fetched = 0

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Within, the directory is unfinished: whoever reads why it failed is told so."""
        self._held.check()
        self._target.check_unchanged()
        try:
            self._target.begin()
            self._target.mend = self._mend
            yield
        except VaultError as error:
            error.hint += f" {left_in_place(str(self._target.directory))}"
            raise

    def compare(self) -> Ranges:
        """What differs of every file; several are read at once."""
        manifest = self._manifest
        total = sum(file.size for file in manifest.files)
        progress = self._held.next_step("Comparing", total_bytes=total)
        known_pages = self._known_pages()
        ranges = Ranges()

        def watch(count: int) -> None:
            self._held.check()
            progress.done_bytes += count

        def compare(index: int) -> None:
            told = ToldFile(manifest.files[index].size, known_pages.of_file(index).differing)
            for start, end in self._target.compare(index, told, watch):
                ranges.add(index, start, end)

        with ThreadPoolExecutor(self._share.workers, thread_name_prefix="compare") as pool:
            try:
                for _ in pool.map(compare, range(len(manifest.files))):
                    self._held.check()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return ranges

    def _known_pages(self) -> KnownPages:
        def fetched(count: int) -> None:
            self._held.check()
            self.fetched += count

        known = KnownPages(self._manifest, *self._source)
        known.read(self._share.workers, fetched)
        return known

    def fetch(self, ranges: Ranges) -> None:
        """Write what differs, read out of storage."""
        total = ranges.total_bytes()
        progress = self._held.next_step("Writing", done_bytes=0, total_bytes=total)
        self._fetch(ranges, progress)
        self._held.check()

    def _fetch(self, ranges: Ranges, progress: Progress) -> None:
        extents, bare = within(self._manifest.all_extents(), ranges)
        for index in bare.files():
            for start, end in bare.of_file(index):
                self._zero(index, start, end)

        def write(index: int, offset: int, data: memoryview) -> None:
            self._held.check()
            self._target.write(index, offset, data)

        def advance(raw: int, stored: int) -> None:
            self._held.check()
            progress.done_bytes += raw
            progress.stored_bytes += stored

        blobs, keys = self._source
        self.fetched += read_files(
            self._manifest,
            blobs,
            keys,
            write,
            extents=extents,
            workers=self._share.workers,
            on_progress=advance,
        )

    def _zero(self, index: int, start: int, end: int) -> None:
        """What no extent covers reads as zeros."""
        for offset in range(start, end, len(_ZEROS)):
            self._held.check()
            self._target.write(index, offset, _ZEROS[: end - offset])

    def _mend(self, indexes: list[int]) -> None:
        ranges = Ranges()
        for index in indexes:
            ranges.add(index, 0, self._manifest.files[index].size)
        self._fetch(ranges, self._held.progress)
