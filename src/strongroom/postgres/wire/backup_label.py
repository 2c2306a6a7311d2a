"""`backup_label`: where recovery of a base backup begins.

Source: PostgreSQL src/backend/access/transam/xlogbackup.c, build_backup_content.
"""

import re
from dataclasses import dataclass

from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.postgres import Lsn, Timeline, lsn_from_text

MOST_BYTES = 64 << 10
_START = re.compile(r"([0-9A-Fa-f/]{3,17}) \(file ([0-9A-F]{24})\)")
_INCREMENTAL = ("INCREMENTAL FROM LSN", "INCREMENTAL FROM TLI")


@dataclass(frozen=True, slots=True)
class BackupLabel:
    """The facts of one backup_label."""

    start: Lsn
    start_file: str  # 24 hexadecimal digits
    checkpoint: Lsn
    timeline: Timeline
    from_standby: bool
    label: str
    incremental: bool


def parse_backup_label(raw: bytes) -> BackupLabel:
    """Read it; Corrupt when a field that recovery needs is missing or no position."""
    if len(raw) > MOST_BYTES:
        raise Corrupt(f"a backup_label of {len(raw)} bytes")
    fields: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\n"):
        name, separator, value = line.partition(": ")
        if separator:
            fields.setdefault(name, value)
    start = _START.fullmatch(fields.get("START WAL LOCATION", ""))
    if start is None:
        raise Corrupt("backup_label names no START WAL LOCATION")
    try:
        timeline = int(fields["START TIMELINE"])
        return BackupLabel(
            start=lsn_from_text(start[1]),
            start_file=start[2],
            checkpoint=lsn_from_text(fields["CHECKPOINT LOCATION"]),
            timeline=Timeline(timeline),
            from_standby=fields.get("BACKUP FROM") == "standby",
            label=fields.get("LABEL", ""),
            incremental=any(name in fields for name in _INCREMENTAL),
        )
    except (KeyError, ValueError, Invalid) as error:
        raise Corrupt("backup_label cannot be read") from error


def without_increments(raw: bytes) -> bytes:
    """The label of a backup that was put together from increments, as a server accepts it."""
    lines = raw.split(b"\n")
    starts = tuple(name.encode() for name in _INCREMENTAL)
    return b"\n".join(line for line in lines if not line.startswith(starts))
