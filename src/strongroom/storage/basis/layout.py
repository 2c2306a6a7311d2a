"""Where things lie beneath the root of a store, and who owns it.

ROOT/ACCOUNT/CONTAINER/NAME           each blob, exactly its bytes
ROOT/.strongroom/ledger.sqlite        what exists
ROOT/.strongroom/incoming/ID.part     bytes on their way; what no row names is swept at start
ROOT/.strongroom/lock                 held by the process that owns the root
ROOT/ready.json                       where the endpoint listens
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import Conflict, Precondition


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store."""

    root: Path
    account: str

    @property
    def private(self) -> Path:
        """What is the store's own, beside the blobs. No account can have this name."""
        return self.root / ".strongroom"

    @property
    def ledger(self) -> Path:
        """The SQLite file."""
        return self.private / "ledger.sqlite"

    @property
    def incoming(self) -> Path:
        """Bytes that are no blob yet."""
        return self.private / "incoming"

    def container(self, container: str) -> Path:
        """A container's directory."""
        return self.root / self.account / container

    def blob(self, container: str, name: str) -> Path:
        """A blob's file. Both names have been checked (names.py)."""
        return self.container(container) / name

    def make(self) -> None:
        """The directories, durably, for the owner alone."""
        try:
            for path in (self.private, self.incoming, self.root / self.account):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.root.parent, self.root, self.private):
                _sync(path)
        except OSError as error:
            raise Precondition(
                f"the store's directory {self.root} cannot be made: {error.strerror}",
                hint="Choose a directory that the store's user owns.",
            ) from error


class RootLock:
    """One process owns a root; the lock goes when the process goes, however it ends."""

    def __init__(self, layout: Layout) -> None:
        """Take it, or raise Conflict."""
        path = layout.private / "lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise Conflict(
                f"another process owns the store in {layout.root}",
                hint="Stop the other `strongroom store` first, or choose another directory.",
            ) from error

    def release(self) -> None:
        """Let it go."""
        os.close(self._handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a small file as a whole: readers see the old one or the new one."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)
