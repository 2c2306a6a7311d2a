"""A data directory that stands there already: whose it is, and whether a server runs in it."""

import os
import socket
from pathlib import Path

from strongroom.model.errors import Precondition, TargetRefused
from strongroom.postgres.restore.beneath import Root

CONTROL = ("global", "pg_control")
# Without a control file no server starts: a restore's own goes to its place last of all.
OLD_CONTROL = ("global", "pg_control.strongroom-old")
NEW_CONTROL = ("global", "pg_control.strongroom-new")
_MOST_BYTES = 1 << 20  # of a small file


def read_control(root: Root) -> bytes:
    """The control file. Raises TargetRefused where there is none."""
    raw = root.read(CONTROL, _MOST_BYTES)
    if raw is None or len(raw) < 64:
        raise TargetRefused(
            f"{root.path} is no data directory of PostgreSQL: it has no global/pg_control",
            hint="Name the server's data directory, or restore into a new one without --in-place.",
        )
    return raw


def names_in(directory: int) -> set[str]:
    """What an open directory holds."""
    return set(os.listdir(directory))


def put_control(root: Root) -> None:
    """The one that was restored in place of the one that stood there. Safe twice."""
    with root.directory(CONTROL[:-1]) as directory:
        names = names_in(directory)
        if NEW_CONTROL[1] in names:
            os.rename(NEW_CONTROL[1], CONTROL[1], src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        if OLD_CONTROL[1] in names:
            os.unlink(OLD_CONTROL[1], dir_fd=directory)
            os.fsync(directory)


def system_of(control: bytes) -> int:
    """The system identifier in a control file. Source: PostgreSQL's ControlFileData."""
    return int.from_bytes(control[:8], "little")


def check_same_server(standing: int, point: int, place: Path) -> None:
    """Raises TargetRefused for another server's directory; both are system identifiers."""
    if standing != point:
        raise TargetRefused(
            f"{place} belongs to another server: its system identifier is {standing}, the "
            f"recovery point's {point}",
            hint="Name the data directory of the server that was backed up, or restore into a "
            "new directory without --in-place.",
        )


def check_stopped(place: Path) -> None:
    """Raises Precondition when a server runs there, saying how it is stopped."""
    try:
        lines = (place / "postmaster.pid").read_text().splitlines()
        pid = abs(int(lines[0]))
    except FileNotFoundError:
        return
    except (OSError, ValueError, IndexError):
        lines, pid = [], 0
    if pid == 0 or _lives(pid) or _listens(lines):
        raise Precondition(
            f"a server runs in {place}" + (f" (process {pid})" if pid else ""),
            hint=f"Stop it first: pg_ctl -D {place} -m fast stop. Only if none runs there, on any "
            f"host or in any container, remove {place / 'postmaster.pid'}.",
        )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _listens(lines: list[str]) -> bool:
    """Whether somebody answers at its socket: in a container its process is not ours to see."""
    if len(lines) < 5 or not lines[4]:
        return False
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except OSError:
            return False
    return True
