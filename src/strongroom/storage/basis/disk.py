"""The few things that the store does to a disk, as a seam: a test's disk fails where it is told.

Every method is one step that a crash can come before or after. Errors are the system's own
(OSError); the store translates them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk:
    """The real one."""

    def create(self, path: Path) -> int:
        """Open a new file for writing; it must not exist. Answers a descriptor."""
        return os.open(path, _NEW_FILE, 0o600)

    def write(self, handle: int, pieces: Sequence[bytes]) -> None:
        """Append all pieces, whole."""
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[os.write(handle, left) :]

    def fsync(self, handle: int) -> None:
        """The file's bytes survive a power loss. After a failure the file counts as lost."""
        os.fsync(handle)

    def forget(self, handle: int) -> None:
        """What is on disk needs no memory: it is read again from there, long after or never."""
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError when the name is taken."""
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()

    def make_directory(self, path: Path) -> None:
        """One level; FileExistsError when it is there."""
        path.mkdir(mode=0o700)

    def remove_directory(self, path: Path) -> None:
        """An empty one."""
        path.rmdir()

    def fsync_dir(self, path: Path) -> None:
        """The names in a directory survive a power loss."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def free(self, path: Path) -> int:
        """Bytes that this user can still write there."""
        facts = os.statvfs(path)
        return facts.f_bavail * facts.f_frsize
