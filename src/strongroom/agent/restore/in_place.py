"""Restore a recovery point over the data directory that it was taken of: fetch what differs."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import Share
from strongroom.agent.restore.known_pages import KnownPages
from strongroom.datastore.blobs import Blobs
from strongroom.datastore.extents import Ranges, within
from strongroom.datastore.manifest import Manifest
from strongroom.datastore.reader import read_files
from strongroom.model.errors import Corrupt, ObjectMissing, VaultError
from strongroom.model.operation import Progress
from strongroom.model.postgres import Lsn
from strongroom.postgres.in_place import InPlaceTarget
from strongroom.postgres.page_compare import ToldFile
from strongroom.postgres.standing import OLD_LABEL, PointOfServer
from strongroom.postgres.wire.pg_manifest import parse_pg_manifest

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
            error.hint += (
                f" {self._target.directory} is unfinished and its server cannot start: the next "
                "restore with --in-place, of this or another point, finishes it."
            )
            raise

    def compare(self) -> Ranges:
        """What differs, or may differ, of every file; several are read at once."""
        manifest, told = self._manifest, parse_pg_manifest(self._manifest.pg_manifest)
        total = sum(file.size for file in manifest.files)
        progress = self._held.next_step("Comparing", total_bytes=total)
        known_pages = self._known_pages()
        ranges = Ranges()

        def watch(count: int) -> None:
            self._held.check()
            progress.done_bytes += count

        def compare(index: int) -> None:
            file = manifest.files[index]
            known = told.files.get(file.path)
            asked = ToldFile(
                path=file.path,
                size=file.size,
                versions=known_pages.of_file(index) if known_pages else None,
                start_lsn=Lsn(manifest.source.start_lsn),
                crc32c=known.crc32c if known else None,
            )
            for start, end in self._target.compare(index, asked, watch):
                ranges.add(index, start, end)

        with ThreadPoolExecutor(self._share.workers, thread_name_prefix="compare") as pool:
            try:
                for _ in pool.map(compare, range(len(manifest.files))):
                    self._held.check()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return ranges

    def _known_pages(self) -> KnownPages | None:
        """None where they are not to be believed, or cannot be read: no restore needs them."""
        if self._target.why_whole:
            return None

        def fetched(count: int) -> None:
            self._held.check()
            self.fetched += count

        try:
            return KnownPages(self._manifest, self._source[0], fetched)
        except (Corrupt, ObjectMissing) as error:
            self._target.why_whole = f"its page versions cannot be read: {error.message}"
            return None

    def fetch(self, ranges: Ranges) -> None:
        """Write what differs, read out of storage."""
        total = ranges.total_bytes()
        progress = self._held.next_step("Writing", done_bytes=0, total_bytes=total)
        progress.note = self._note()
        self._fetch(ranges, progress)
        self._held.check()

    def _note(self) -> str:
        why = self._target.why_whole
        return f"files that differ are fetched whole: {why}" if why else ""

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


def point_of(manifest: Manifest) -> PointOfServer:
    """What tells whether a directory's pages can be compared by their versions."""
    source = manifest.source
    old = next((file for file in manifest.files if file.path == OLD_LABEL), None)
    return PointOfServer(
        system_identifier=source.system_identifier,
        timeline=source.timeline,
        start_lsn=Lsn(source.start_lsn),
        checksums=source.checksums,
        has_versions=bool(manifest.page_versions or manifest.page_parts or manifest.page_layers),
        old_label=(-1, 0) if old is None else (old.size, old.mtime),
    )
