"""Giving committed bytes their final place, and taking them away again: safe at any crash.

put      body fsynced, `incoming/` fsynced > ROW > back end > incoming name away > note
delete   ROW CONDEMNED > incoming name away > back end > row removed

Up to the row in capitals nothing has happened; after it the next start finishes what is left. On a
disk the back end's step is: link > fsync directories, and unlink > fsync directory > prune.
"""

import os
from dataclasses import replace
from pathlib import Path

import structlog

from strongroom.model.errors import Corrupt, Locked, StoreError
from strongroom.storage.back_ends.back_end import BackEnd, NativeLock, Reading
from strongroom.storage.back_ends.disk_back_end import open_file
from strongroom.storage.back_ends.native import Native
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.incoming import discard_file, disk_errors
from strongroom.storage.basis.layout import Layout
from strongroom.storage.ledger.ledger import Ledger

_log = structlog.get_logger("strongroom.storage")


class Placement:
    """Moves between `incoming/` and the back end. The caller holds the blob's name.

    `native` knows what the back end's provider should keep by itself, where it can.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        ledger: Ledger,
        back_end: BackEnd,
        native: Native | None,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._ledger = ledger
        self._back_end = back_end
        self._native = native

    def check_path(self, container: str, name: str) -> None:
        """Refuse a name that the back end could not put. Raises Conflict, Invalid."""
        self._back_end.check_path(container, name)

    def place(self, blob: Blob) -> None:
        """Where it stays, durably; then the incoming name goes. Every step may be repeated."""
        if blob.incoming is None:
            return
        source = self._layout.incoming / blob.incoming
        with disk_errors():
            if source.exists():
                version: str | None = self._put(source, blob)
                self._disk.unlink(source)
            else:
                version = self._back_end.find(blob)
        if version is None:
            raise Corrupt("the blob's file is gone", code="BlobCorrupt", facts={"name": blob.name})
        self._ledger.note_linked(replace(blob, version=version))

    def replace(self, blob: Blob) -> None:
        """What lies in its place gives way to its incoming file."""
        with disk_errors():
            self._back_end.remove(blob)
        self.place(blob)

    def _put(self, source: Path, blob: Blob) -> str:
        if self._native is None:
            return self._back_end.put(source, blob, NativeLock())
        keep = self._native.wanted(blob)
        version = self._back_end.put(source, blob, keep)
        self._native.note(blob, keep)
        return version

    def open(
        self, blob: Blob, offset: int = 0, length: int | None = None, *, afresh: bool = False
    ) -> Reading | None:
        """Its bytes, wherever they are; None when they are gone."""
        found: Reading | None = None
        if blob.incoming is not None:
            found = open_file(self._layout.incoming / blob.incoming, offset, afresh=afresh)
        return found or self._back_end.open(blob, offset, length, afresh=afresh)

    def check_removable(self, blob: Blob) -> None:
        """Asked before a deletion is recorded. Raises Locked when the provider would refuse it."""
        self._back_end.check_removable(blob)

    def remove(self, blob: Blob) -> None:
        """A condemned blob, durably; then its row."""
        with disk_errors():
            if blob.incoming is not None:
                self._unlink(self._layout.incoming / blob.incoming)
            self._back_end.remove(blob)
        self._ledger.forget(blob)

    def remove_container(self, container: str) -> None:
        """What is left of a container that is no more."""
        with disk_errors():
            self._back_end.remove_container(container)

    def recover(self) -> None:
        """Finish what the last process left, and sweep what it never committed."""
        to_link, to_remove = self._ledger.unfinished()
        for blob in (*to_link, *to_remove):
            self.finish(blob)
        for path in sorted(self._layout.incoming.iterdir()):
            if path.name not in {blob.incoming for blob in to_link}:
                discard_file(self._disk, path)
                _log.info("incoming_swept", file=path.name)

    def finish(self, blob: Blob) -> None:
        """Of a blob that was found unfinished, what is still to be done; it tells how it went."""
        state = self._ledger.state(blob)
        about = {"container": blob.container, "name": blob.name}
        try:
            if state == "placing":
                self.place(blob)
                _log.info("put_completed", **about)
            elif state == "deleting":
                self.remove(blob)
                _log.info("delete_completed", **about)
        except Corrupt as error:
            # The row stays: digests and scrub name it for as long as the bytes are missing.
            _log.error("blob_lost", **about, error=str(error))
        except (StoreError, Locked) as error:
            _log.warning("back_end_waits", **about, error=str(error))

    def _unlink(self, path: Path) -> None:
        if os.path.lexists(path):
            self._disk.unlink(path)
