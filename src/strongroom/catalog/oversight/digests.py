"""What a day has brought and the next one brings: counts for the daily digest."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.installation import installation
from strongroom.catalog.oversight.approvals import WAITING
from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.keeping_tables import approvals
from strongroom.catalog.tables.tables import instances, jobs, recovery_points, schedules
from strongroom.model.work.job import JobStatus

_TOLD = "digest-told"  # the day of the last one


def is_told(connection: sa.Connection, day: str) -> bool:
    """Whether a day's digest was taken."""
    return installation.get(connection, _TOLD) == day


def claim(connection: sa.Connection, day: str) -> str | None:
    """Take a day's digest; the day before, or None when somebody has taken it already."""
    before = installation.get(connection, _TOLD)
    if before == day:
        return None
    installation.put(connection, _TOLD, day)
    return before


def give_back(connection: sa.Connection, before: str) -> None:
    """It could not be told: it is still to come."""
    installation.put(connection, _TOLD, before)


def failed_jobs(connection: sa.Connection, since: Instant) -> list[tuple[str, str, str]]:
    """(kind, instance, why) of the jobs that failed since then, the newest first."""
    query = sa.select(jobs.c.kind, instances.c.name, jobs.c.error).join(
        instances, jobs.c.instance_id == instances.c.id
    )
    failed = sa.and_(jobs.c.status == JobStatus.FAILED.value, jobs.c.ended_at >= since)
    found = connection.execute(query.where(failed).order_by(jobs.c.ended_at.desc()))
    return [(row.kind, row.name, str((row.error or {}).get("message", ""))) for row in found]


def points_since(connection: sa.Connection, since: Instant) -> tuple[int, int]:
    """(points, bytes stored anew) that were committed since then."""
    stored = sa.func.coalesce(sa.func.sum(recovery_points.c.stored_bytes), 0)
    query = sa.select(sa.func.count(), stored).where(recovery_points.c.committed_at >= since)
    count, total = connection.execute(query).one()
    return int(count), int(total)


def coming(connection: sa.Connection, now: Instant, until: Instant) -> tuple[int, int, int]:
    """(backups that are due, points that end, approvals that wait), until then."""
    due = sa.select(sa.func.count()).where(schedules.c.next_fire_at <= until)
    ends = recovery_points.c.expires_at
    ending = sa.select(sa.func.count()).where(
        recovery_points.c.state == COMPLETED, ends > now, ends <= until
    )
    waiting = sa.select(sa.func.count()).where(
        approvals.c.state == WAITING, approvals.c.expires_at > now
    )
    counts = [int(connection.execute(query).scalar_one()) for query in (due, ending, waiting)]
    return counts[0], counts[1], counts[2]
