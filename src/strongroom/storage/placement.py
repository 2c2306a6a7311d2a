"""Giving committed bytes their final name, and taking it away again: safe at any crash.

    put      body fsynced, `incoming/` fsynced > ROW > link > fsync directories > unlink > note
    delete   ROW CONDEMNED > unlink > fsync directory > prune empty directories > row removed

Up to the row in capitals nothing has happened; after it the next start finishes what is left.
"""

import errno
import os
import threading
from pathlib import Path

import structlog

from strongroom.model.errors import Conflict, Corrupt
from strongroom.storage.blob import Blob
from strongroom.storage.disk import Disk
from strongroom.storage.incoming import discard_file, disk_errors
from strongroom.storage.layout import Layout
from strongroom.storage.ledger import Ledger

_log = structlog.get_logger("strongroom.storage")


class Placement:
    """Moves between `incoming/` and the final names. The caller holds the blob's name."""

    def __init__(self, layout: Layout, disk: Disk, ledger: Ledger) -> None:
        self._layout = layout
        self._disk = disk
        self._ledger = ledger
        self._tree = threading.Lock()  # making directories and links against pruning them
        self._durable: set[Path] = set()  # directories whose own name is known to be on disk

    def check_path(self, container: str, name: str) -> None:
        """Refuse a name whose path is taken by something that the ledger does not know."""
        path = self._layout.blob(container, name)
        try:
            path.lstat()
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise _stray(container, name) from error
        self._ledger.check_free(container, name)
        try:
            with self._tree:
                self._disk.remove_directory(path)  # an empty one, left by a crash while pruning
        except OSError as error:
            raise _stray(container, name) from error

    def place(self, blob: Blob) -> None:
        """Final name, durably; then the incoming one goes. Every step may be repeated."""
        if blob.incoming is None:
            return
        source = self._layout.incoming / blob.incoming
        target = self._layout.blob(blob.container, blob.name)
        with disk_errors():
            if source.exists():
                directories = self._link(source, target)
                self._sync(directories)
                self._disk.fsync_dir(target.parent)
                self._durable.update(directories)
                self._disk.unlink(source)
            elif not target.exists():
                raise Corrupt(
                    "the blob's file is gone", code="BlobCorrupt", facts={"name": blob.name}
                )
        self._ledger.note_linked(blob)

    def remove(self, blob: Blob) -> None:
        """Every name of a condemned blob, durably; then its row."""
        target = self._layout.blob(blob.container, blob.name)
        with disk_errors():
            if blob.incoming is not None:
                self._unlink(self._layout.incoming / blob.incoming)
            self._unlink(target)
            if target.parent.is_dir():
                self._disk.fsync_dir(target.parent)
            self._prune(target.parent, self._layout.container(blob.container))
        self._ledger.forget(blob)

    def remove_container(self, container: str) -> None:
        """The directory of a container that is no more."""
        with disk_errors():
            self._prune(self._layout.container(container), self._layout.root)

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

    def _link(self, source: Path, target: Path) -> list[Path]:
        """Directories and link. Answers the directories whose names are not yet surely on disk."""
        wanted = [path for path in target.parents if path.is_relative_to(self._layout.root)][:-1]
        with self._tree:
            for path in reversed(wanted):
                if not path.is_dir():
                    self._disk.make_directory(path)
            try:
                self._disk.link(source, target)
            except FileExistsError as error:
                if not target.samefile(source):
                    raise Corrupt(
                        "a foreign file has the blob's name", code="BlobCorrupt"
                    ) from error
            return [path for path in reversed(wanted) if path not in self._durable]

    def _sync(self, directories: list[Path]) -> None:
        for path in directories:
            self._disk.fsync_dir(path.parent)

    def _unlink(self, path: Path) -> None:
        if os.path.lexists(path):
            self._disk.unlink(path)

    def _prune(self, directory: Path, top: Path) -> None:
        """Remove directories that became empty, upwards, `top` excluded."""
        with self._tree:
            while directory != top and directory.is_relative_to(top):
                try:
                    self._disk.remove_directory(directory)
                except OSError as error:
                    if error.errno == errno.ENOENT:
                        pass
                    elif error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        return
                    else:
                        raise
                self._durable.discard(directory)
                directory = directory.parent


def _stray(container: str, name: str) -> Conflict:
    _log.error("stray_file", container=container, name=name)
    return Conflict(
        "something that the store did not write stands at the blob's path",
        code="PathConflict",
        hint="Look at the store's directory, and move the foreign file away.",
    )
