"""What a restore costs: bytes from the sizes of its point, time from what the agent did before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.points import recovery_points
from strongroom.catalog.work import measured
from strongroom.model.errors import Invalid
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import lsn_from_text
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.job import JobKind
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.plan import Estimate

_EVERY_SERVER = 48 << 20  # raw bytes of the catalogues, the log and what is no relation, about
_ENOUGH = 5  # jobs that are measured; the newest


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes, at most, about."""

    read_bytes: int
    write_bytes: int


def cost_of(point: RecoveryPoint, databases: Mapping[str, Any]) -> Cost:
    """`databases`: those that are taken; none: all of it."""
    raw = point.raw_bytes
    stored = int(point.facts.get("restore_bytes", point.stored_bytes))  # of all packs it needs
    sizes: dict[str, int] = point.facts.get("databases") or {}
    if not databases or not sizes:
        return Cost(stored, raw)
    share = min(raw, sum(sizes.get(name, 0) for name in databases) + _EVERY_SERVER)
    return Cost(stored * share // max(raw, 1), share)


def changed_since(connection: sa.Connection, point: RecoveryPoint) -> int | None:
    """Raw bytes that the increments after a point have read anew; None where that says nothing.

    About what a restore in place of the point rewrites, at the time of the newest one.
    """
    points = recovery_points.list_of_instance(connection, point.instance_id)
    newer = [p for p in points if p.taken_at > point.taken_at and p.kind != LOGICAL]
    if any(p.kind != "Incremental" or "read_bytes" not in p.facts for p in newer):
        return None
    return sum(int(p.facts["read_bytes"]) for p in newer)


def wal_bytes_of(point: RecoveryPoint) -> int:
    """What recovery replays: from the point's start to its stop. A dump needs no recovery."""
    try:
        start, stop = (lsn_from_text(point.facts.get(at, "")) for at in ("start_lsn", "stop_lsn"))
    except Invalid:
        return 0
    return max(0, stop - start)


def sort_of(order: Mapping[str, Any]) -> str:
    """Which jobs take their time alike."""
    if order.get("load"):
        return "loads"
    if order.get("in_place"):
        return "in place"
    part = order.get("part")
    if not part:
        return "restores"
    return "tables" if part.get("table") else "extracts"


def time_of(
    connection: sa.Connection, agent_id: str, asked: RestoreRequest, count: int
) -> Estimate:
    """For `count` raw bytes: by jobs of the same sort; else by full backups, whose way is as long.

    Unknown where the agent did neither. Of one table, which takes a small part of the bytes that
    are told, nobody knows how small: what others took is all that can be said.
    """
    part = msgspec.to_builtins(asked.part)
    order = {"load": asked.load, "in_place": asked.in_place, "part": part}
    wanted = sort_of(order)
    done = measured.of_agent(connection, agent_id, JobKind.RESTORE)
    alike = [job[1:] for job in done if sort_of(job[0]) == wanted]
    if wanted == "tables":
        times = [seconds for _, seconds in alike[:_ENOUGH]]
        mean = sum(times) / len(times) if times else None
        return Estimate(seconds=mean, measured=wanted, jobs=len(times))
    if not alike:
        wanted = "backups"
        taken = measured.of_agent(connection, agent_id, JobKind.BACKUP)
        alike = [job[1:] for job in taken if job[0].get("kind") == "Full"]
    alike = alike[:_ENOUGH]
    if not alike:
        return Estimate()
    rate = sum(size for size, _ in alike) / sum(seconds for _, seconds in alike)
    return Estimate(seconds=count / rate, bytes_per_second=rate, measured=wanted, jobs=len(alike))
