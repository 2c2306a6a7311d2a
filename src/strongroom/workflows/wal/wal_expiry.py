"""Log whose time is over goes; what the kept rest leans on stays.

What was promised when a range was committed is kept: a shorter window holds for new log alone, a
longer one for all of it. To reach the oldest moment of what is kept, the log from the point before
it is needed too. The log that makes a point consistent lies in the point itself.
"""

from collections.abc import Sequence

import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import expiry_holds, recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import wal
from strongroom.control.wal.wal_coverage import end_of
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.protection.protection_state import KEPT
from strongroom.model.work.logical import LOGICAL
from strongroom.workflows.basis.means import Means

_AT_ONCE = 500  # packs that one pass deletes, of each instance

log = structlog.get_logger()


def expire_log(means: Means, instance_id: InstanceId) -> int:
    """One pass -> how many ranges are gone. Safe twice. Raises StoreError: the next pass goes on.

    The row is marked before the object goes: nothing is planned to read what may be gone.
    """
    control = means.control
    with control.database.writing() as connection:
        found = protection.by_id(connection, instance_id)
        if found.state in KEPT or expiry_holds.list_of_instance(connection, instance_id):
            return 0
        over = _over(connection, found, control.earliest())[:_AT_ONCE]
        wal.set_going(connection, instance_id, [row["name"] for row in over])
    view = means.storage.account_view(instance_id)
    gone = [row for row in over if view.delete(row["name"])]
    if not gone:
        return 0
    with control.database.writing() as connection:
        wal.drop(connection, instance_id, [row["name"] for row in gone])
        told = {"ranges": len(gone), "bytes": sum(row["size"] for row in gone)}
        what = ("wal/expire", instance_id)
        audit.append(connection, control.clock.now(), "service", what, told)
    log.info("wal.expired", instance=instance_id, **told)
    return len(gone)


def _over(connection: sa.Connection, found: Protection, now: Instant) -> Sequence[sa.RowMapping]:
    """The ranges that go, in order."""
    days = operational_days(found.properties, found.policy)
    within = now.subtract(hours=24 * days)
    if not wal.has_ended(connection, found.instance_id, now):
        return []
    rows = wal.list_packs(connection, found.instance_id)
    ended = [row["keep_until"] < now and row["committed_at"] < within for row in rows]
    old = [row for row, over in zip(rows, ended, strict=True) if over]
    kept = [row["committed_at"] for row, over in zip(rows, ended, strict=True) if not over]
    points = _bases(connection, found)
    before = [point for point in points if point.committed_at <= min(kept, default=now)]
    base = next(iter(before or points[-1:]), None)
    stream = wal.stream_of(connection, found.instance_id)
    size = 0 if stream is None else stream["segment_size"]
    return [row for row in old if row["going"] or not _is_needed(row, base, size)]


def _bases(connection: sa.Connection, found: Protection) -> list[RecoveryPoint]:
    points = recovery_points.list_of_instance(connection, found.instance_id)
    return [point for point in points if point.kind != LOGICAL]


def _is_needed(row: sa.RowMapping, base: RecoveryPoint | None, segment_size: int) -> bool:
    """To go from the base to what is kept. A segment is needed from its first byte."""
    if base is None or str(base.facts.get("system_identifier")) != row["system_identifier"]:
        return False
    _, stop = end_of(base)
    return bool(row["end_lsn"] > stop - stop % max(segment_size, 1))


def base_of_log(
    connection: sa.Connection, instance_id: InstanceId, points: Sequence[RecoveryPoint]
) -> dict[str, str]:
    """The point that the kept log leans on -> why it stays: without it the log leads nowhere.

    Where log came before the first point did, as from a server that is streamed while its first
    backup runs, that is the oldest.
    """
    oldest = wal.oldest_kept(connection, instance_id)
    if oldest is None:
        return {}
    physical = [point for point in points if point.kind != LOGICAL]
    before = [point for point in physical if point.committed_at <= oldest]
    by_age = sorted(before or physical, key=lambda each: each.committed_at)
    leant_on = by_age[-1:] if before else by_age[:1]
    return {base.id: "the log that is kept leans on it" for base in leant_on}
