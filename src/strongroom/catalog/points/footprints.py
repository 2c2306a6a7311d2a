"""How far the points of instances reach, and what they store: for a page of them at once."""

from collections.abc import Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points.recovery_points import COMPLETED, SOFT_DELETED
from strongroom.catalog.tables.tables import recovery_points as points
from strongroom.catalog.tables.usage_tables import point_sizes, usage


def last_expiries(connection: sa.Connection, instances: Sequence[str]) -> dict[str, Instant]:
    """Instance -> when the last of its points expires; none without points."""
    query = sa.select(points.c.instance_id, sa.func.max(points.c.expires_at).label("last"))
    query = query.where(points.c.instance_id.in_(instances), points.c.state == COMPLETED)
    rows = connection.execute(query.group_by(points.c.instance_id))
    return {row.instance_id: row.last for row in rows}


def left_at(
    connection: sa.Connection, instances: Sequence[str], moments: Sequence[Instant]
) -> list[tuple[int, int]]:
    """At each moment: (points whose time is not over by then, instances that have one of them)."""
    ours = sa.and_(points.c.instance_id.in_(instances), points.c.state == COMPLETED)
    found = []
    for moment in moments:
        query = sa.select(sa.func.count(), sa.func.count(sa.distinct(points.c.instance_id))).where(
            ours, points.c.expires_at > moment
        )
        count, held = connection.execute(query).one()
        found.append((int(count), int(held)))
    return found


def stored(connection: sa.Connection, instances: Sequence[str]) -> dict[str, int]:
    """Instance -> stored bytes: as they were counted last, and what points have added since."""
    other = usage.alias()
    last = sa.select(sa.func.max(other.c.day)).where(other.c.instance_id == usage.c.instance_id)
    counted = sa.select(usage.c.instance_id, usage.c.stored_bytes).where(
        usage.c.instance_id.in_(instances), usage.c.day == last.scalar_subquery()
    )
    found = {row.instance_id: int(row.stored_bytes) for row in connection.execute(counted)}
    known = sa.select(point_sizes.c.recovery_point_id)
    known = known.where(point_sizes.c.recovery_point_id == points.c.id)
    later = sa.select(points.c.instance_id, sa.func.sum(points.c.stored_bytes).label("stored"))
    later = later.where(
        points.c.instance_id.in_(instances),
        points.c.state.in_((COMPLETED, SOFT_DELETED)),
        ~sa.exists(known),
    )
    for row in connection.execute(later.group_by(points.c.instance_id)):
        found[row.instance_id] = found.get(row.instance_id, 0) + int(row.stored)
    return found
