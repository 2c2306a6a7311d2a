"""What kind of backup is asked for, and what a server allows.

Full: the best that the server allows. Physical and Logical: that kind and no other.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from strongroom.model.errors import Invalid, SourceUnsupported
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import ServerFacts

FULL, PHYSICAL = "Full", "Physical"
BACKUP_TYPES = (FULL, PHYSICAL, LOGICAL)
DENIED = "denied"  # among an error's facts: the server allows no physical backup, as it is set
OF_STREAM = "ofStream"  # likewise: only what goes by a replication connection is not allowed

# How a physical backup is read: files and log by a replication connection; files from the disk of
# the agent's host, and the log by a stream; both from the disk, where no replication is granted.
STREAM, DISK, DISK_ALONE = "Stream", "Disk", "DiskAlone"


def read_backup_type(found: str) -> str:
    """Raises Invalid."""
    for known in BACKUP_TYPES:
        if found.lower() == known.lower():
            return known
    every_point = " Every point is whole, and stores only what has changed, without being asked."
    raise Invalid(
        f"backupType {found[:60]!r} is not offered",
        hint=f"use one of {', '.join(BACKUP_TYPES)}."
        + (every_point if found.lower() in {"incremental", "differential", "log"} else ""),
        code="BMSUserErrorInvalidInput",
    )


def is_denied(problem: Mapping[str, Any]) -> bool:
    """Whether a problem (VaultError.to_dict()) rules physical backups out, not just for now."""
    facts = problem.get("facts") or {}
    return problem.get("kind") == SourceUnsupported.__name__ or bool(facts.get(DENIED))


def why_logical(problems: Iterable[Mapping[str, Any]]) -> str:
    """Why a Full backup of a server with these problems is a dump; empty: it is none."""
    return next((str(p.get("message", "")) for p in problems if is_denied(p)), "")


def allows(facts: ServerFacts, backup_type: str) -> bool:
    """Whether the server, as its agent sees it, can be backed up so."""
    if backup_type == LOGICAL:
        return facts.dumpable
    falls_back = backup_type == FULL and facts.dumpable and bool(why_logical(facts.problems))
    return facts.ready or falls_back
