"""Giving committed bytes their final place, and taking them away again: safe at any crash.

put      body fsynced, `incoming/` fsynced > ROW > back end > incoming name away > note
delete   ROW CONDEMNED > incoming name away > back end > row removed

Up to the row in capitals nothing has happened; after it the next start finishes what is left. On a
disk the back end's step is: link > fsync directories, and unlink > fsync directory > prune.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from strongroom.model.errors import Corrupt
from strongroom.storage.back_end import BackEnd, NativeLock, Reading
from strongroom.storage.blob import Blob
from strongroom.storage.disk import Disk
from strongroom.storage.disk_back_end import open_file
from strongroom.storage.incoming import discard_file, disk_errors
from strongroom.storage.layout import Layout
from strongroom.storage.ledger import Ledger

_log = structlog.get_logger("strongroom.storage")


class Placement:
    """Moves between `incoming/` and the back end. The caller holds the blob's name.

    `keep` says by what the provider should keep a blob, as the ledger is now.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        ledger: Ledger,
        back_end: BackEnd,
        keep: Callable[[Blob], NativeLock],
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._ledger = ledger
        self._back_end = back_end
        self._keep = keep

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
                version: str | None = self._back_end.put(source, blob, self._keep(blob))
                self._disk.unlink(source)
            else:
                version = self._back_end.find(blob)
        if version is None:
            raise Corrupt("the blob's file is gone", code="BlobCorrupt", facts={"name": blob.name})
        self._ledger.note_linked(replace(blob, version=version))

    def open(
        self, blob: Blob, offset: int = 0, length: int | None = None, *, afresh: bool = False
    ) -> Reading | None:
        """Its bytes, wherever they are; None when they are gone."""
        found: Reading | None = None
        if blob.incoming is not None:
            found = open_file(self._layout.incoming / blob.incoming, offset, afresh=afresh)
        return found or self._back_end.open(blob, offset, length, afresh=afresh)

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
        for blob in to_link:
            try:
                self.place(blob)
            except Corrupt as error:
                # The row stays: digests and scrub name it for as long as the bytes are missing.
                _log.error("blob_lost", container=blob.container, name=blob.name, error=str(error))
            else:
                _log.info("put_completed", container=blob.container, name=blob.name)
        for blob in to_remove:
            self.remove(blob)
            _log.info("delete_completed", container=blob.container, name=blob.name)
        for path in sorted(self._layout.incoming.iterdir()):
            if path.name not in {blob.incoming for blob in to_link}:
                discard_file(self._disk, path)
                _log.info("incoming_swept", file=path.name)

    def _unlink(self, path: Path) -> None:
        if os.path.lexists(path):
            self._disk.unlink(path)
