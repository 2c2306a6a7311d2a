"""A small file system, for whoever may mount one; for others a directory that acts like one."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_WRITERS = ("write", "writev", "pwrite", "pwritev")


@dataclass
class SmallDisk:
    """`fill` takes all room that is left, `free` gives it back."""

    root: Path
    mounted: bool
    full: bool = False

    @property
    def _filler(self) -> Path:
        return self.root / ".filler"

    def fill(self) -> None:
        self.full = True
        if not self.mounted:
            return
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass

    def free(self) -> None:
        self.full = False
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(root: Path, size: int, patch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """A tmpfs of so many bytes at `root`, which is there and empty."""
    mounted = _mount(root, size)
    disk = SmallDisk(root, mounted)
    try:
        with patch.context() as within:
            if not mounted:
                _bound(disk, within)
            yield disk
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(root)], check=True)


def _mount(root: Path, size: int) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(root)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _bound(disk: SmallDisk, patch: pytest.MonkeyPatch) -> None:
    """While it is full no write to a file of it goes through."""

    def bounded(real: Any) -> Any:
        def write(handle: int, *given: Any) -> Any:
            file = Path(f"/proc/self/fd/{handle}")
            if disk.full and str(file.readlink()).startswith(str(disk.root)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(handle, *given)

        return write

    for name in _WRITERS:
        patch.setattr(os, name, bounded(getattr(os, name)))


def at_write(number: int, disk: SmallDisk, patch: pytest.MonkeyPatch) -> list[int]:
    """The disk is full from that write to a file on; what comes back counts the writes."""
    made = [0]

    def counted(real: Any) -> Any:
        def write(*given: Any) -> Any:
            made[0] += 1
            if made[0] == number:
                disk.fill()
            return real(*given)

        return write

    for name in ("pwrite", "pwritev"):
        patch.setattr(os, name, counted(getattr(os, name)))
    return made
