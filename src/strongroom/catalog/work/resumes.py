"""Which tries a backup may go on with, and what each try was told to lean on."""

from collections.abc import Sequence

import sqlalchemy as sa

from strongroom.catalog.tables.tables import agent_operations, jobs
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, WrongKey
from strongroom.model.work.job import JobKind, JobStatus

_GOOD = (JobStatus.COMPLETED.value, JobStatus.COMPLETED_WITH_WARNINGS.value)
_DAMAGED = {error.__name__ for error in (Corrupt, ObjectMissing, WrongKey, Invalid)}
_KEY = "resumedFrom"  # in the order: {try: names of partial deltas}


def tries_before(connection: sa.Connection, job_id: str) -> list[sa.RowMapping]:
    """The operations of the failed backups of this instance since its last good one, the newest
    first; the job's own comes before them. One whose bytes were found to be others, and what came
    before it, is nothing to lean on.
    """
    mine = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one()
    query = (
        sa.select(jobs.c.id, jobs.c.status, jobs.c.error)
        .where(
            jobs.c.instance_id == mine["instance_id"],
            jobs.c.kind == JobKind.BACKUP.value,
            jobs.c.started_at <= mine["started_at"],
            jobs.c.id != job_id,
        )
        .order_by(jobs.c.started_at.desc())
    )
    ids = [job_id]
    for job in connection.execute(query):
        if job.status in _GOOD or (job.error or {}).get("kind") in _DAMAGED:
            break
        ids.append(job.id)
    rows = connection.execute(
        sa.select(agent_operations).where(agent_operations.c.id.in_(ids))
    ).mappings()
    by_id = {row["id"]: row for row in rows}
    return [by_id[each] for each in ids if each in by_id]


def told_to(operation: sa.RowMapping, attempt: str) -> list[str] | None:
    """What a try was told to lean on: names of partial deltas; None when it has not asked yet."""
    found: list[str] | None = (operation["order"].get(_KEY) or {}).get(attempt)
    return found


def note_told(
    connection: sa.Connection, operation_id: str, attempt: str, names: Sequence[str]
) -> None:
    """Remember it: the commit lays the delta over the very same."""
    mine = agent_operations.c.id == operation_id
    order = connection.execute(sa.select(agent_operations.c.order).where(mine)).scalar_one()
    told = {**(order.get(_KEY) or {}), attempt: list(names)}
    connection.execute(agent_operations.update().where(mine).values(order={**order, _KEY: told}))
