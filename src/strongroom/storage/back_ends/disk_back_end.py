"""The local disk as the back end: each blob is a file of its name.

Making a name takes several steps, and each may be repeated: link, fsync of every directory whose
name is new, and only then does the caller take the incoming name away.
"""

import errno
import os
import threading
from pathlib import Path

import structlog

from strongroom.model.errors import Conflict, Corrupt, StoreUnavailable
from strongroom.storage.back_ends.back_end import NativeLock, Reading
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.incoming import disk_errors
from strongroom.storage.basis.layout import Layout
from strongroom.storage.ledger.ledger import Ledger

_log = structlog.get_logger("strongroom.storage")


class FileReading:
    """A file from an offset on; see back_end.Reading."""

    def __init__(self, handle: int, offset: int = 0, *, afresh: bool = False) -> None:
        self.size = os.fstat(handle).st_size
        self._handle = handle
        self._at = offset
        self._afresh = afresh

    def read(self, size: int) -> bytes:
        """The next bytes."""
        with disk_errors():
            piece = os.pread(self._handle, size, self._at)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let go of it."""
        if self._afresh:
            os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(self._handle)


def open_file(path: Path, offset: int, *, afresh: bool) -> FileReading | None:
    """None where no such file is."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnavailable(f"a blob's file cannot be read: {error.strerror}") from error
    if afresh:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    return FileReading(handle, offset, afresh=afresh)


class DiskBackEnd:
    """See back_end.BackEnd."""

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

    def put(self, source: Path, blob: Blob, keep: NativeLock) -> str:
        """A second name for the file, durably."""
        del keep  # a disk has no locks of its own
        target = self._layout.blob(blob.container, blob.name)
        directories = self._link(source, target)
        for path in directories:
            self._disk.fsync_dir(path.parent)
        self._disk.fsync_dir(target.parent)
        self._durable.update(directories)
        return ""

    def find(self, blob: Blob) -> str | None:
        """Whether its file is there."""
        return "" if self._layout.blob(blob.container, blob.name).exists() else None

    def open(self, blob: Blob, offset: int, length: int | None, *, afresh: bool) -> Reading | None:
        """Its file."""
        del length
        return open_file(self._layout.blob(blob.container, blob.name), offset, afresh=afresh)

    def check_removable(self, blob: Blob) -> None:
        """A disk keeps nothing by itself."""

    def remove(self, blob: Blob) -> None:
        """Its file, durably, and the directories that are empty then."""
        target = self._layout.blob(blob.container, blob.name)
        if os.path.lexists(target):
            self._disk.unlink(target)
        if target.parent.is_dir():
            self._disk.fsync_dir(target.parent)
        self._prune(target.parent, self._layout.container(blob.container))

    def remove_container(self, container: str) -> None:
        """The directory of a container that is no more."""
        self._prune(self._layout.container(container), self._layout.root)

    def close(self) -> None:
        """Nothing is kept open."""

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
