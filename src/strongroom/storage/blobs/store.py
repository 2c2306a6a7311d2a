"""The blob store: whole blobs under names that are given once, on a disk or in a bucket.

Promises (tests/integration/storage tries each):
- a blob is whole or absent, whatever dies when; what was answered survives a power loss;
- a name is given once: of any number of writers one wins, the others get ObjectExists;
- nothing is changed: there is no verb for it; a delete is recorded before it happens;
- memory is bounded by the piece that is being handled, not by the blob.

Plain sync functions for worker threads; any number of them at once.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import structlog

from strongroom.model.errors import (
    Conflict,
    Corrupt,
    ObjectExists,
    ObjectMissing,
)
from strongroom.model.seams import Chance, Clock
from strongroom.storage.back_ends.back_end import Reading
from strongroom.storage.back_ends.back_ends import open_place
from strongroom.storage.back_ends.native import Native
from strongroom.storage.back_ends.placement import Placement
from strongroom.storage.basis.blob import Asked, Blob, Container, Facts, Page
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.incoming import Incoming, disk_errors, read_pieces
from strongroom.storage.basis.layout import Layout, RootLock
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.basis.space import Space
from strongroom.storage.blobs.blocks import StagedBlocks
from strongroom.storage.blobs.looking import Looking
from strongroom.storage.blobs.mending import Mending
from strongroom.storage.blobs.upload import Upload
from strongroom.storage.ledger.copies import Copies
from strongroom.storage.ledger.identifiers import Identifiers
from strongroom.storage.ledger.ledger import Ledger
from strongroom.storage.ledger.listing import page_of
from strongroom.storage.ledger.lock_clock import LockClock
from strongroom.storage.ledger.locks import Lock, Locks

_log = structlog.get_logger("strongroom.storage")


class BlobStore:
    """One root, one account, one process. `open_store` makes it, `close` lets the root go."""

    def __init__(
        self, settings: StoreSettings, clock: Clock, chance: Chance, disk: Disk, ledger: Ledger
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._disk = disk
        self._layout = Layout(settings.root, settings.account)
        self._lock: RootLock | None = None
        self._ledger = ledger
        place = open_place(settings, disk, ledger, clock, chance)
        self._back_end = place.back_end
        self.identifiers = Identifiers(ledger)
        self.copies = Copies(ledger)
        self.locks = Locks(ledger, LockClock(clock, ledger, accept=settings.accept_clock))
        self.native: Native | None = None
        if place.locks is not None:
            earliest = self.locks.clock.earliest
            self.native = Native(ledger, place.locks, self._lock_of, earliest)
        self.locks.native = self.native
        self._placement = Placement(self._layout, disk, ledger, place.back_end, self.native)
        self.max_blob_bytes = min(settings.max_blob_bytes, place.most_bytes)
        self.space = Space(disk, settings.root, settings.reserve_bytes)
        self.blocks = StagedBlocks(
            disk,
            clock,
            max_blocks=settings.max_blocks,
            max_bytes=self.max_blob_bytes,
            lifetime=settings.staged_seconds,
        )
        self._names = [threading.Lock() for _ in range(64)]
        self.mending = Mending(
            ledger, self._placement, self.space, clock, self._incoming, self._holding
        )
        self.looking = Looking(
            ledger, self._placement, clock, self._holding, is_remote=settings.back_end is not None
        )

    def start(self, lock: RootLock | None) -> None:
        """Own the root and finish what the last process left."""
        self._lock = lock
        self._placement.recover()

    def close(self) -> None:
        """Let the root go. Uploads under way are swept at the next start."""
        self.looking.close()
        self._ledger.close()
        self._back_end.close()
        if self._lock is not None:
            self._lock.release()

    # --- containers ---

    def create_container(self, name: str, metadata: dict[str, str]) -> Container:
        """Raises ObjectExists."""
        container = Container(name, self._clock.now(), metadata)
        self._ledger.add_container(container)
        return self._ledger.container(name)

    def container(self, name: str) -> Container:
        """Raises ObjectMissing."""
        return self._ledger.container(name)

    def containers(self, asked: Asked) -> list[Container]:
        """In name order."""
        return self._ledger.containers(asked)

    def delete_container(self, name: str) -> None:
        """An empty one; Conflict for one that holds blobs."""
        self._ledger.remove_container(name)
        self._placement.remove_container(name)

    # --- putting ---

    def begin(
        self,
        container: str,
        name: str,
        length: int,
        *,
        with_md5: bool = False,
        identifier: str = "",
    ) -> Upload:
        """Start to receive `length` bytes, and count them under the identifier.

        Raises ObjectExists, ObjectMissing, StoreFull, or Forbidden when they are too many.
        """
        self._ledger.check_free(container, name)
        with ExitStack() as claim:
            claim.enter_context(self.space.claim(length))
            self.identifiers.charge(container, identifier, length)
            incoming = self._incoming(length, with_md5=with_md5)
            return Upload(container, name, incoming, claim.pop_all(), identifier)

    def commit(self, upload: Upload, facts: Facts) -> Blob:
        """Make the bytes a blob. When this returns it is durable under its name.

        Raises Forbidden when the identifier was withdrawn while the bytes came.
        """
        incoming = upload.incoming
        incoming.close(durable=True)
        self.identifiers.check(upload.container, upload.identifier)
        blob = Blob(
            container=upload.container,
            name=upload.name,
            size=incoming.size,
            blake3=incoming.blake3,
            md5=incoming.md5,
            facts=facts,
            created=self._clock.now(),
            incoming=incoming.path.name,
        )
        with self._holding(blob.container, blob.name), disk_errors():
            self._placement.check_path(blob.container, blob.name)
            # If the ledger fails we cannot know whether the row is there: the file stays, and
            # the next start decides. Only a plain refusal says that it is not.
            upload.belongs_to_ledger = True
            try:
                self._ledger.record(blob)
            except (ObjectExists, ObjectMissing, Conflict):
                upload.belongs_to_ledger = False
                raise
            self._placement.place(blob)
        self.blocks.forget((blob.container, blob.name))
        self.locks.clock.note()
        blob = replace(blob, incoming=None)
        self.looking.begin(blob)
        return blob

    def stage(self, upload: Upload, block_id: str) -> None:
        """Keep the bytes as a block of a blob to come. Raises Forbidden as `commit` does."""
        self.identifiers.check(upload.container, upload.identifier)
        upload.incoming.close(durable=False)
        self.blocks.add((upload.container, upload.name), block_id, upload.incoming)
        upload.belongs_to_ledger = True

    def commit_blocks(
        self,
        container: str,
        name: str,
        block_ids: list[str],
        facts: Facts,
        md5: bytes | None,
        identifier: str = "",
    ) -> Blob:
        """Lay staged blocks end to end and commit them as one blob; `md5` is compared if given.

        The blocks were counted when they came: they are not counted again.
        """
        self._ledger.check_free(container, name)
        blocks = self.blocks.listed((container, name), block_ids)
        total = sum(block.size for block in blocks)
        with ExitStack() as claim:
            claim.enter_context(self.space.claim(total))
            incoming = self._incoming(total, with_md5=md5 is not None)
            upload = Upload(container, name, incoming, claim.pop_all(), identifier)
        try:
            with disk_errors():
                for block in blocks:
                    with block.path.open("rb") as file:
                        for piece in read_pieces(file.fileno()):
                            upload.write([piece])
            upload.check_md5(md5)
            return self.commit(upload, facts)
        finally:
            upload.abandon()

    def _incoming(self, length: int, *, with_md5: bool = False) -> Incoming:
        path = self._layout.incoming / f"{self._chance.bytes(16).hex()}.part"
        return Incoming(self._disk, path, limit=length, with_md5=with_md5)

    def check_free(self, container: str, name: str) -> None:
        """Raise what a put of this name would raise now."""
        self._ledger.check_free(container, name)

    # --- reading ---

    def blob(self, container: str, name: str) -> Blob:
        """Raises ObjectMissing."""
        return self._ledger.blob(container, name)

    def open(self, blob: Blob, offset: int = 0, length: int | None = None) -> Reading:
        """Its bytes from `offset` on. Raises Corrupt when they are not as many as written."""
        reading = self._placement.open(blob, offset, length)
        if reading is None:
            blob = self._ledger.blob(blob.container, blob.name)  # perhaps it was just deleted
            reading = self._placement.open(blob, offset, length)
        if reading is None:
            raise _corrupt(blob, "the blob's file is gone")
        if reading.size != blob.size:
            reading.close()
            raise _corrupt(blob, "the blob's file has another length than was written")
        return reading

    def page(self, container: str, asked: Asked) -> Page:
        """One page of a listing in name order. With a delimiter, names beyond it are summed up."""
        self._ledger.container(container)
        return page_of(self._ledger, container, asked)

    # --- deleting ---

    def delete(self, container: str, name: str, caller: str) -> Blob:
        """Recorded first, then gone. Raises ObjectMissing, or Locked."""
        self._ledger.container(container)
        with self._holding(container, name):
            self._check_removable(container, name)
            blob = self._ledger.condemn(
                container, name, self._clock.now(), caller, self.locks.refuse
            )
            self._placement.remove(blob)
        return blob

    def _check_removable(self, container: str, name: str) -> None:
        """Raise Locked when the provider would: before anything is recorded."""
        if self.native is None:
            return
        with suppress(ObjectMissing):
            blob = self._ledger.blob(container, name)
            with self._ledger.reading() as connection:
                self.locks.refuse(connection, blob)
            self._placement.check_removable(blob)

    # --- finishing what a provider did not do ---

    def unfinished(self) -> tuple[int, int]:
        """How many blobs are still to be put into the back end, and to be removed."""
        to_link, to_remove = self._ledger.unfinished()
        return len(to_link), len(to_remove)

    def finish(self, stopping: threading.Event) -> None:
        """Try once more. What is refused again is told in the log, and left."""
        for blob in itertools.chain(*self._ledger.unfinished()):
            if stopping.is_set():
                return
            with self._holding(blob.container, blob.name):
                self._placement.finish(blob)

    def _lock_of(self, blob: Blob) -> Lock:
        return self.locks.of(blob.container, blob.name, blob.created)

    @contextmanager
    def _holding(self, container: str, name: str) -> Iterator[None]:
        with self._names[hash((container, name)) % len(self._names)]:
            yield


def open_store(
    settings: StoreSettings, clock: Clock, chance: Chance, disk: Disk | None = None
) -> BlobStore:
    """Make or reopen the store in `settings.root`. Raises Conflict when it is owned."""
    layout = Layout(settings.root, settings.account)
    layout.make()
    lock = RootLock(layout)
    with ExitStack() as opened:
        opened.callback(lock.release)
        ledger = Ledger(layout.ledger)
        opened.callback(ledger.close)
        store = BlobStore(settings, clock, chance, disk or Disk(), ledger)
        store.start(lock)
        opened.pop_all()
    return store


def _corrupt(blob: Blob, what: str) -> Corrupt:
    _log.error("blob_corrupt", container=blob.container, name=blob.name, error=what)
    return Corrupt(what, code="BlobCorrupt", facts={"name": blob.name})
