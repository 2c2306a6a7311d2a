"""A data directory that stands there already.

Whose it is, whether a server runs in it, and whether its history is that of a recovery point.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from strongroom.model.errors import Precondition, TargetRefused
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.postgres.beneath import Root

CONTROL = ("global", "pg_control")
OLD_LABEL = "backup_label.old"
_MOST_BYTES = 1 << 20  # of a small file


class Standing(msgspec.Struct, frozen=True):
    """What a directory's control file says, and what tells whether it was ever restored.

    old_label: size and mtime (seconds) of backup_label.old, which a server leaves where it was
    restored; (-1, 0) where there is none. Source: PostgreSQL pg_control.h, ControlFileData.
    """

    system_identifier: int
    timeline: int
    redo: int
    old_label: tuple[int, int]
    has_label: bool


@dataclass(frozen=True, slots=True)
class PointOfServer:
    """What a comparison must know of a recovery point. `old_label` as in `Standing`."""

    system_identifier: int
    timeline: int
    start_lsn: Lsn
    checksums: bool
    has_versions: bool
    old_label: tuple[int, int]


def read_control(root: Root) -> bytes:
    """The control file. Raises TargetRefused where there is none."""
    raw = root.read(CONTROL, _MOST_BYTES)
    if raw is None or len(raw) < 64:
        raise TargetRefused(
            f"{root.path} is no data directory of PostgreSQL: it has no global/pg_control",
            hint="Name the server's data directory, or restore into a new one without --in-place.",
        )
    return raw


def look_at(root: Root, control: bytes) -> Standing:
    """From a control file and what lies beside it."""
    try:
        facts = os.stat(OLD_LABEL, dir_fd=root.descriptor, follow_symlinks=False)
        old_label = (facts.st_size, int(facts.st_mtime))
    except FileNotFoundError:
        old_label = (-1, 0)
    return Standing(
        system_identifier=int.from_bytes(control[:8], "little"),
        timeline=int.from_bytes(control[48:52], "little"),
        redo=int.from_bytes(control[40:48], "little"),
        old_label=old_label,
        has_label=root.read(("backup_label",), _MOST_BYTES) is not None,
    )


def check_same_server(standing: Standing, point: PointOfServer, place: Path) -> None:
    """Raises TargetRefused for another server's directory."""
    if standing.system_identifier != point.system_identifier:
        raise TargetRefused(
            f"{place} belongs to another server: its system identifier is "
            f"{standing.system_identifier}, the recovery point's {point.system_identifier}",
            hint="Name the data directory of the server that was backed up, or restore into a "
            "new directory without --in-place.",
        )


def why_pages_say_nothing(standing: Standing, point: PointOfServer) -> str:
    """Why equal page versions would not mean equal pages; empty when they do.

    They do where both are on one history and page checksums are on: every change of a page after
    the point's start then gives it a later pd_lsn, hint bits too. Without checksums a page may
    hold hint bits of transactions that the point does not know as committed
    (docs/decisions/0150).
    """
    if not point.has_versions:
        return "the point keeps no page versions"
    if not point.checksums:
        return "the server keeps no page checksums"
    if standing.timeline != point.timeline:
        return f"the directory is on timeline {standing.timeline}, the point on {point.timeline}"
    if standing.redo < point.start_lsn:
        return (
            f"the directory is at {lsn_to_text(Lsn(standing.redo))}, before the point's start at "
            f"{lsn_to_text(point.start_lsn)}"
        )
    if standing.has_label or standing.old_label != point.old_label:
        return "the directory has been restored from another backup since"
    return ""


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
