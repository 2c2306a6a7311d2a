"""Counts for monitoring."""

import sqlalchemy as sa

from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.tables import agent_operations, jobs, recovery_points
from strongroom.catalog.work.agent_operations import OPEN


def count_jobs(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """(kind, status, how many)."""
    query = sa.select(jobs.c.kind, jobs.c.status, sa.func.count())
    found = connection.execute(query.group_by(jobs.c.kind, jobs.c.status))
    return [(kind, status, int(count)) for kind, status, count in found]


def waiting(connection: sa.Connection) -> int:
    """How much of agents' work is not done."""
    query = sa.select(sa.func.count()).where(agent_operations.c.status.in_(OPEN))
    return int(connection.execute(query).scalar_one())


def newest_points(connection: sa.Connection) -> list[sa.RowMapping]:
    """Of each instance: instance_id, taken_at, committed_at, raw_bytes, stored_bytes."""
    points = recovery_points
    newest = (
        sa.select(points.c.instance_id, sa.func.max(points.c.taken_at).label("at"))
        .where(points.c.state == COMPLETED)
        .group_by(points.c.instance_id)
        .subquery()
    )
    query = sa.select(
        points.c.instance_id,
        points.c.taken_at,
        points.c.committed_at,
        points.c.raw_bytes,
        points.c.stored_bytes,
    ).join(
        newest,
        sa.and_(points.c.instance_id == newest.c.instance_id, points.c.taken_at == newest.c.at),
    )
    return list(connection.execute(query.where(points.c.state == COMPLETED)).mappings())
