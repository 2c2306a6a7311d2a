"""Files beneath one directory: names resolve step by step, no link is followed, none leads out."""

import ctypes
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import TargetFull, TargetRefused
from strongroom.model.postgres import PAGE, fills_every_page

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC
_NO_SPACE = {28, 122}  # ENOSPC, EDQUOT
MOST_OPEN = 128
_SYNC_FILE_RANGE_WRITE = 2  # Source: linux/fs.h
_WORTH_BEGINNING = 1 << 20  # bytes; less than that would be many small writes
_ZERO_PAGE = bytes(PAGE)
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def parts_of(path: str) -> tuple[str, ...]:
    """The steps of a relative path. Raises TargetRefused for one that could lead elsewhere."""
    parts = tuple(path.split("/"))
    if any(part in {"", ".", ".."} for part in parts) or "\0" in path:
        raise TargetRefused(f"the backup names a file outside the target: {path[:200]!r}")
    return parts


def refused(error: OSError, place: object) -> TargetFull | TargetRefused:
    """An operating system's no, typed."""
    if error.errno in _NO_SPACE:
        return TargetFull(
            f"no space is left to write {place}", hint="Free some, then restore again."
        )
    return TargetRefused(
        f"cannot write {place}: {error.strerror}",
        hint="See who owns the directory, and whether its file system is writable.",
    )


def open_in(directory: int, name: str, flags: int, mode: int) -> int:
    """A descriptor of a regular file in an open directory; no link is followed."""
    return os.open(name, flags | _FILE, mode, dir_fd=directory)


class Root:
    """An open directory. Only one thread changes the tree; files may be opened from any."""

    def __init__(self, path: Path) -> None:
        """Raises TargetRefused when it is not there, no directory, or a link."""
        self.path = path
        try:
            self._descriptor = os.open(path, _DIRECTORY)
        except OSError as error:
            raise refused(error, path) from error

    @property
    def descriptor(self) -> int:
        """For calls that take a dir_fd."""
        return self._descriptor

    def close(self) -> None:
        """Safe twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def directory(self, parts: tuple[str, ...], make_mode: int | None = None) -> Iterator[int]:
        """A descriptor of a directory beneath; `make_mode`: its steps are made when missing."""
        current = -1
        try:
            current = os.dup(self._descriptor)
            for part in parts:
                if make_mode is not None:
                    _make_directory(part, current, make_mode)
                following = os.open(part, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = following
            yield current
        except OSError as error:
            raise refused(error, self.path.joinpath(*parts)) from error
        finally:
            if current >= 0:
                os.close(current)

    def open(self, parts: tuple[str, ...], flags: int, mode: int = 0o600) -> int:
        """A descriptor of a regular file beneath, which the caller closes."""
        with self.directory(parts[:-1]) as parent:
            try:
                return open_in(parent, parts[-1], flags, mode)
            except OSError as error:
                raise refused(error, self.path.joinpath(*parts)) from error

    def read(self, parts: tuple[str, ...], most: int) -> bytes | None:
        """A small file whole; None when it is not there."""
        try:
            descriptor = self.open(parts, os.O_RDONLY)
        except TargetRefused as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise TargetRefused(f"{self.path.joinpath(*parts)} is larger than {most} bytes")
        return data

    def write(self, parts: tuple[str, ...], data: bytes, mode: int) -> None:
        """A small file whole, in place of what was there."""
        descriptor = self.open(parts, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            os.fchmod(descriptor, mode)
            write_at(descriptor, memoryview(data), 0)
            os.fsync(descriptor)
        except OSError as error:
            raise refused(error, self.path.joinpath(*parts)) from error
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Take away a file that lies in the root itself, for good even after a power loss."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
            os.fsync(self._descriptor)
        except OSError as error:
            raise refused(error, self.path / name) from error

    def sync(self) -> None:
        """All that was written beneath is on disk, or TargetRefused says that it is not."""
        try:
            if not _sync_file_system(self._descriptor):
                self._sync_each()
            os.fsync(self._descriptor)
            parent = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
        except OSError as error:
            raise refused(error, self.path) from error

    def _sync_each(self) -> None:
        for _, _, names, directory in os.fwalk(dir_fd=self._descriptor):
            for name in names:
                descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=directory)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            os.fsync(directory)

    def give_to(self, uid: int, gid: int) -> None:
        """Everything beneath and the directory itself belongs to a user; no link is followed."""
        try:
            for _, directories, names, directory in os.fwalk(dir_fd=self._descriptor):
                for name in [*directories, *names]:
                    os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
            os.fchown(self._descriptor, uid, gid)
        except OSError as error:
            raise refused(error, self.path) from error


def _make_directory(name: str, parent: int, mode: int) -> None:
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return
    descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _sync_file_system(descriptor: int) -> bool:
    """syncfs(2), one barrier for all files. False where there is none that reports errors."""
    if sys.platform != "linux":
        return False
    if _LIBRARY.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True


def begin_sync(descriptor: int, offset: int, length: int) -> None:
    """Let the disk begin with what a later `sync` waits for. Source: sync_file_range(2).

    A wish: where it cannot be had nothing is lost but time, and `sync` tells what goes wrong.
    """
    if sys.platform == "linux" and length >= _WORTH_BEGINNING:
        _LIBRARY.sync_file_range(
            descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE
        )


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """All of it, whatever the operating system takes at once."""
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def filled(data: memoryview) -> Iterator[tuple[int, int]]:
    """(start, end) of all but whole pages of zeros, in stretches as long as they come."""
    if fills_every_page(data):
        yield 0, len(data)
        return
    start = 0
    for position in range(0, len(data), PAGE):
        page = data[position : position + PAGE]
        if page[:8] == _ZERO_PAGE[: len(page[:8])] and bytes(page) == _ZERO_PAGE[: len(page)]:
            if start < position:
                yield start, position
            start = position + len(page)
    if start < len(data):
        yield start, len(data)


@dataclass(slots=True)
class _Open:
    descriptor: int
    users: int = 0


class OpenFiles:
    """A bounded set of open files for any number of threads; `open_one` opens a file by number."""

    def __init__(self, open_one: Callable[[int], int], most: int = MOST_OPEN) -> None:
        self._open_one = open_one
        self._most = most
        self._lock = threading.Lock()
        self._files: OrderedDict[int, _Open] = OrderedDict()  # least recently used first

    @contextmanager
    def borrowed(self, index: int) -> Iterator[int]:
        """A descriptor that stays open within."""
        with self._lock:
            file = self._files.get(index)
            if file is None:
                self._evict()
                file = self._files[index] = _Open(self._open_one(index))
            self._files.move_to_end(index)
            file.users += 1
        try:
            yield file.descriptor
        finally:
            with self._lock:
                file.users -= 1
                if file.users == 0 and self._files.get(index) is not file:
                    os.close(file.descriptor)

    def _evict(self) -> None:
        """Make room for one more; files in use are passed over."""
        while len(self._files) >= self._most:
            idle = next((i for i, file in self._files.items() if file.users == 0), None)
            if idle is None:
                return
            os.close(self._files.pop(idle).descriptor)

    def close(self) -> None:
        """Close all; one in use is closed when it is given back. Safe twice."""
        with self._lock:
            while self._files:
                _, file = self._files.popitem()
                if file.users == 0:
                    os.close(file.descriptor)
