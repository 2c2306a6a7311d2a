"""Where tests write: in memory, where this host has plenty of it and lets us mount.

Ten thousands of files come and go. ext4 gives no inode again within a minute and looks at all that
were deleted meanwhile, so that making files took up to half of a processor. What only a disk does
(to lose power, to be full) no test expects of the host's own: that is played (faulty_disk.py) or
mounted (small_disk.py). Whoever sets TMPDIR has it there,
and finds there what a test that failed left.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "sr-tests-"
_SIZE = 10 << 30  # bytes; three workers were seen to hold 1.2 GB
_PLENTY = _SIZE + (4 << 30)


@contextlib.contextmanager
def memory() -> Iterator[None]:
    """Within: TMPDIR is a file system of this run's own, in memory, if that can be."""
    with contextlib.ExitStack() as stack:
        if "TMPDIR" not in os.environ and _available() >= _PLENTY:
            with _held(Path(tempfile.gettempdir())):  # one run after the other
                _remove_left()
                stack.enter_context(_mounted())
        yield


@contextlib.contextmanager
def _mounted() -> Iterator[None]:
    room = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with contextlib.ExitStack() as stack:
        stack.callback(room.rmdir)
        if _ran("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=1777", "tmpfs", str(room)):
            stack.callback(_ran, "umount", "--lazy", str(room))
            stack.enter_context(_held(room))
            os.environ["TMPDIR"] = str(room)
            tempfile.tempdir = None  # it was asked for already
        yield


def _available() -> int:
    """Bytes of memory."""
    try:
        told = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return 0
    return int(told[1]) << 10 if told else 0


@contextlib.contextmanager
def _held(room: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    handle = os.open(room, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _remove_left() -> None:
    """Of runs that were killed."""
    for room in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _held(room, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if os.path.ismount(room):
                _ran("umount", "--lazy", str(room))
        with contextlib.suppress(OSError):
            room.rmdir()


def _ran(*words: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False
