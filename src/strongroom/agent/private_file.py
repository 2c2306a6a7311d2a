"""Small files that hold secrets: mode 0600, replaced as a whole or not at all."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.model.errors import Invalid, Precondition

Stamp = tuple[int, int, int]


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: after a power loss either the old or the new bytes are there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within: no other process of ours changes the file. Two changes at once must not lose one."""
    own_directory(path.parent)
    lock = path.with_name(f".{path.stem}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_private(path: Path) -> bytes | None:
    """The bytes, or None when there is no such file.

    Raises Precondition when anybody but the owner may read it.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Precondition(
                    f"{path} can be read by others",
                    hint=f"Run `chmod 600 {path}`, and change the secrets in it.",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise Precondition(
            f"{path} cannot be read: {error.strerror}",
            hint="Run the agent as the user that owns its data directory.",
        ) from error


def stamp_of(path: Path) -> Stamp:
    """Changes whenever the file does: (modification time, inode, size); zeros without it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def own_directory(path: Path) -> None:
    """Make `path` with mode 0700, or take the others' permissions away from it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o700)
    except FileExistsError as error:
        raise Invalid(f"{path} is not a directory", hint="Choose another --data.") from error
    except PermissionError as error:
        raise Precondition(
            f"{path} cannot be made or is not ours: {error.strerror}",
            hint="Choose a data directory that the agent's user owns.",
        ) from error


def sync_directory(path: Path) -> None:
    """Make names in a directory survive a power loss."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
