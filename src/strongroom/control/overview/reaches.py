"""Since when any second can be restored, of a page of instances: quick, however long the log.

What a restore is offered is decided by wal_coverage.py from every single pack. Here the packs are
only summed: a sum that fits its ends has no hole, and only where it does not are they looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.wal import wal, wal_spans
from strongroom.catalog.wal.wal_spans import Span
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship
from strongroom.control.wal.wal_coverage import Kept
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.logical import LOGICAL

STOPPED_SECONDS = 300.0  # behind by more: "any second" ends there
_MOST_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Reach:
    """Any second `since` then, without a hole up to the end of the log; None: no point joins it.

    stopped: when the log was last level with its server, if that is long ago.
    """

    since: Instant | None
    stopped: Instant | None


def reaches_of(control: Control, ships: Sequence[Ship]) -> dict[str, Reach]:
    """Instance -> its reach, of those `ships` that ever had a log; the caller has seen them."""
    now = control.clock.now()
    with control.database.reading() as connection:
        rows = wal_spans.streams_of(connection, [ship.id for ship in ships])
        return {
            row["instance_id"]: _reach(connection, row, now) for row in rows if row["timeline"]
        }


def _reach(connection: sa.Connection, stream: sa.RowMapping, now: Instant) -> Reach:
    level: Instant = stream["kept_at"]
    streaming = stream["facts"].get("state") == "Streaming"
    late = not streaming or (now - level).total("seconds") > STOPPED_SECONDS
    return Reach(_since(connection, stream), level if late else None)


def _since(connection: sa.Connection, stream: sa.RowMapping) -> Instant | None:
    """When the oldest point was committed from which one comes to the end of the log."""
    instance_id, system = stream["instance_id"], str(stream["system_identifier"])
    spans = wal_spans.spans_of(connection, instance_id, system)
    if not spans:
        return None
    kept = Kept(
        instance_id=instance_id,
        system=system,
        segment_size=stream["segment_size"],
        ranges=_ranges(connection, instance_id, system, spans),
        histories=wal.histories_of(connection, instance_id, system),
        points=_points(connection, instance_id, system, spans[0]),
        cuts=wal_spans.cuts_of(connection, instance_id),
    )
    path = kept.path()
    if path is None:
        return None
    last = path.timeline, kept.ranges[path.timeline][-1][1]
    joined = [
        reach.point.committed_at
        for reach in kept.reaches(path)
        if (reach.stretches[-1][0], reach.end) == last
    ]
    return min(joined, default=None)


def _ranges(
    connection: sa.Connection, instance_id: str, system: str, spans: list[Span]
) -> dict[int, list[tuple[int, int]]]:
    if any(span.length != span.end - span.start for span in spans):
        return wal.ranges_of(connection, instance_id, system)
    return {span.timeline: [(span.start, span.end)] for span in spans}


def _points(
    connection: sa.Connection, instance_id: str, system: str, first: Span
) -> tuple[RecoveryPoint, ...]:
    """Those that the log may join, newest first: taken after it began, and the last one before."""
    begun = wal_spans.begun_at(connection, instance_id, first)
    whose = InstanceId(instance_id)
    later = recovery_points.page_of_instance(connection, whose, None, _MOST_POINTS, (begun, None))
    before = recovery_points.page_of_instance(connection, whose, None, 1, (None, begun))
    return tuple(
        point
        for point in (*later, *before)
        if point.kind != LOGICAL and str(point.facts.get("system_identifier")) == system
    )
