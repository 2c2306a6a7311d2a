"""What reports are made of."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.tables import drills, jobs, recovery_points

COUNTED = ("databases", "rows", "relations", "indexes")  # by a drill


def newest_by_tag(connection: sa.Connection) -> dict[str, dict[str, Instant]]:
    """Instance -> tag -> when its newest whole point with it was taken."""
    points = recovery_points
    newest = sa.func.max(points.c.taken_at).label("at")
    query = sa.select(points.c.instance_id, points.c.tag, newest)
    query = query.where(points.c.state == COMPLETED).group_by(points.c.instance_id, points.c.tag)
    found: dict[str, dict[str, Instant]] = {}
    for row in connection.execute(query):
        found.setdefault(row.instance_id, {})[row.tag] = row.at
    return found


def count_jobs(connection: sa.Connection, since: Instant) -> dict[str, dict[tuple[str, str], int]]:
    """Instance -> (kind, status) -> how many began since then."""
    count = sa.func.count().label("count")
    query = sa.select(jobs.c.instance_id, jobs.c.kind, jobs.c.status, count)
    query = query.where(jobs.c.started_at >= since)
    query = query.group_by(jobs.c.instance_id, jobs.c.kind, jobs.c.status)
    found: dict[str, dict[tuple[str, str], int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.instance_id, {})[(row.kind, row.status)] = int(row[3])
    return found


def evidence(connection: sa.Connection) -> dict[str, sa.RowMapping]:
    """Instance -> its newest drill: point, when it was taken (None: gone by now), begin and end,

    verdict, what was counted, evidence_name and evidence_blake3.
    """
    newest = (
        sa.select(drills.c.instance_id, sa.func.max(drills.c.ended_at).label("at"))
        .group_by(drills.c.instance_id)
        .subquery()
    )
    same = sa.and_(drills.c.instance_id == newest.c.instance_id, drills.c.ended_at == newest.c.at)
    points = recovery_points
    query = sa.select(
        drills.c.instance_id,
        drills.c.recovery_point_id,
        points.c.taken_at,
        drills.c.began_at,
        drills.c.ended_at,
        drills.c.verdict,
        *(drills.c.result[name].as_float().label(name) for name in COUNTED),
        drills.c.evidence_name,
        drills.c.evidence_blake3,
    ).join(newest, same)
    query = query.join(points, points.c.id == drills.c.recovery_point_id, isouter=True)
    return {row["instance_id"]: row for row in connection.execute(query).mappings()}
