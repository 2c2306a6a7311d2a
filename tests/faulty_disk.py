"""Disks that fail, die or forget, at the step they are told to."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from strongroom.model.errors import StoreUnavailable
from strongroom.storage.basis.disk import Disk
from strongroom.storage.ledger.ledger import Ledger

FAULTS = ("before", "after", "partial", "full", "exit before", "exit after")


class PowerLoss(BaseException):
    """Everything stops; what was not synced is gone."""


class SteppedDisk(Disk):
    """Numbers its steps from 1, and lets `at_step` come before and after each."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        self.steps.append(name)
        self.around(len(self.steps), before=True)
        number = len(self.steps)
        try:
            return work()
        finally:
            self.around(number, before=False)

    def around(self, number: int, *, before: bool) -> None:
        """For subclasses."""

    def create(self, path: Path) -> int:
        handle = super().create(path)
        try:
            self.step("create", lambda: None)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def write(self, handle: int, pieces: Sequence[bytes]) -> None:
        self.step("write", lambda: super(SteppedDisk, self).write(handle, pieces))

    def fsync(self, handle: int) -> None:
        self.step("fsync", lambda: super(SteppedDisk, self).fsync(handle))

    def link(self, source: Path, target: Path) -> None:
        self.step("link", lambda: super(SteppedDisk, self).link(source, target))

    def unlink(self, path: Path) -> None:
        self.step("unlink", lambda: super(SteppedDisk, self).unlink(path))

    def make_directory(self, path: Path) -> None:
        self.step("make_directory", lambda: super(SteppedDisk, self).make_directory(path))

    def remove_directory(self, path: Path) -> None:
        self.step("remove_directory", lambda: super(SteppedDisk, self).remove_directory(path))

    def fsync_dir(self, path: Path) -> None:
        self.step("fsync_dir", lambda: super(SteppedDisk, self).fsync_dir(path))


class FaultyDisk(SteppedDisk):
    """Step `at` fails in one of the FAULTS; 0 never does."""

    def __init__(self, at: int = 0, fault: str = "before") -> None:
        super().__init__()
        self.at = at
        self.fault = fault

    def around(self, number: int, *, before: bool) -> None:
        if number != self.at:
            return
        if self.fault.startswith("exit") and before == self.fault.endswith("before"):
            os._exit(9)
        if self.fault in ("before", "full", "partial") and before:
            raise OSError(errno.ENOSPC if self.fault == "full" else errno.EIO, "told to fail")
        if self.fault == "after" and not before:
            raise OSError(errno.EIO, "told to fail")

    def write(self, handle: int, pieces: Sequence[bytes]) -> None:
        if len(self.steps) + 1 == self.at and self.fault == "partial":
            Disk.write(self, handle, [b"".join(pieces)[:100]])
        super().write(handle, pieces)


class SteppedLedger(Ledger):
    """Its commits are steps of the same disk. A fault after a commit is the ambiguous one."""

    def __init__(self, path: Path, disk: SteppedDisk) -> None:
        super().__init__(path)
        self._disk = disk

    def _step(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return self._disk.step(name, work)
        except OSError as error:
            raise StoreUnavailable("the ledger does not answer") from error

    def record(self, blob: Any) -> None:
        self._step("record", lambda: super(SteppedLedger, self).record(blob))

    def note_linked(self, blob: Any) -> None:
        self._step("note_linked", lambda: super(SteppedLedger, self).note_linked(blob))

    def condemn(self, *args: Any) -> Any:
        return self._step("condemn", lambda: super(SteppedLedger, self).condemn(*args))

    def forget(self, blob: Any) -> None:
        self._step("forget", lambda: super(SteppedLedger, self).forget(blob))


class ForgetfulDisk(SteppedDisk):
    """The power goes before step `at`: names and bytes that no fsync covered are gone.

    The worst that a file system may do. The ledger counts as durable (SQLite syncs it).
    """

    def __init__(self, at: int, attic: Path) -> None:
        super().__init__()
        self.at = at
        self._attic = attic
        self._names: list[tuple[Path, Callable[[], None]]] = []  # directory, undo
        self._bytes: dict[int, list[Path]] = {}  # inode -> its names, while not synced

    def around(self, number: int, *, before: bool) -> None:
        if number == self.at and before:
            raise PowerLoss

    def create(self, path: Path) -> int:
        handle = super().create(path)
        self._bytes[os.fstat(handle).st_ino] = [path]
        self._names.append((path.parent, lambda: path.unlink(missing_ok=True)))
        return handle

    def fsync(self, handle: int) -> None:
        super().fsync(handle)
        self._bytes.pop(os.fstat(handle).st_ino, None)

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        self._names.append((target.parent, lambda: target.unlink(missing_ok=True)))

    def unlink(self, path: Path) -> None:
        kept = self._attic / f"{len(self.steps)}"
        kept.hardlink_to(path)
        super().unlink(path)
        self._names.append((path.parent, lambda: _put_back(kept, path)))

    def make_directory(self, path: Path) -> None:
        super().make_directory(path)
        self._names.append((path.parent, lambda: shutil.rmtree(path, ignore_errors=True)))

    def remove_directory(self, path: Path) -> None:
        super().remove_directory(path)
        self._names.append((path.parent, lambda: path.mkdir(exist_ok=True)))

    def fsync_dir(self, path: Path) -> None:
        super().fsync_dir(path)
        self._names = [(parent, undo) for parent, undo in self._names if parent != path]

    def lose(self) -> None:
        """What the next start finds."""
        for _, undo in reversed(self._names):
            undo()
        for names in self._bytes.values():
            for path in filter(Path.exists, names):
                os.truncate(path, path.stat().st_size // 2)


def _put_back(kept: Path, path: Path) -> None:
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        path.hardlink_to(kept)
