"""How much log is kept of many instances at once: for a page of them, whose log is long."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.wal_tables import wal_gaps as gaps
from strongroom.catalog.tables.wal_tables import wal_packs as packs
from strongroom.catalog.tables.wal_tables import wal_streams as streams


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one timeline: from its first pack to the end of its last.

    `length`: of all packs together; where it is not end - start there is a hole, or an overlap.
    """

    timeline: int
    start: int
    end: int
    length: int


def streams_of(connection: sa.Connection, instances: Sequence[str]) -> list[sa.RowMapping]:
    """How the stream of each stands, of those that ever had one."""
    query = sa.select(streams).where(streams.c.instance_id.in_(instances))
    return list(connection.execute(query).mappings())


def spans_of(connection: sa.Connection, instance_id: str, system: str) -> list[Span]:
    """What is kept of each timeline of a system, in their order; read from an index alone."""
    length = sa.func.sum(packs.c.end_lsn - packs.c.start_lsn)
    query = sa.select(
        packs.c.timeline,
        sa.func.min(packs.c.start_lsn),
        sa.func.max(packs.c.end_lsn),
        length,
    ).where(
        packs.c.instance_id == instance_id,
        packs.c.system_identifier == system,
        packs.c.going.is_(False),
    )
    rows = connection.execute(query.group_by(packs.c.timeline).order_by(packs.c.timeline))
    return [
        Span(timeline=timeline, start=start, end=end, length=int(length))
        for timeline, start, end, length in rows
    ]


def begun_at(connection: sa.Connection, instance_id: str, span: Span) -> Instant:
    """When the first pack of a span was committed."""
    query = sa.select(packs.c.committed_at).where(
        packs.c.instance_id == instance_id,
        packs.c.timeline == span.timeline,
        packs.c.start_lsn == span.start,
    )
    found: Instant = connection.execute(query.limit(1)).scalar_one()
    return found


def gaps_since(connection: sa.Connection, since: Instant) -> list[tuple[str, Instant]]:
    """(instance, when it was found) of log that is lost, the newest first."""
    query = sa.select(gaps.c.instance_id, gaps.c.found_at).where(gaps.c.found_at >= since)
    rows = connection.execute(query.order_by(gaps.c.found_at.desc()))
    return [(row.instance_id, row.found_at) for row in rows]


def cuts_of(connection: sa.Connection, instance_id: str) -> frozenset[tuple[int, int]]:
    """(timeline, where) nothing recovers through, though there is log on both sides."""
    query = sa.select(gaps.c.timeline, gaps.c.start_lsn).where(
        gaps.c.instance_id == instance_id, gaps.c.end_lsn == gaps.c.start_lsn
    )
    return frozenset((timeline, lsn) for timeline, lsn in connection.execute(query))
