"""How far jobs were, from time to time: rows in, `Sample` out."""

from collections.abc import Mapping

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.portal_tables import job_samples as table
from strongroom.model.work.job_sample import Sample, is_worth_keeping
from strongroom.model.work.operation import Progress


def note(connection: sa.Connection, job_id: str, progress: Progress, at: Instant) -> None:
    """Keep it, if it says something new or enough time has passed."""
    query = sa.select(table).where(table.c.job_id == job_id).order_by(table.c.number.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    last = None if row is None else _sample(row)
    if is_worth_keeping(last, progress, at):
        place = {"job_id": job_id, "number": 0 if last is None else last.number + 1, "at": at}
        told = {"step": progress.step, "note": progress.note}
        sizes = {"done_bytes": progress.done_bytes, "stored_bytes": progress.stored_bytes}
        connection.execute(table.insert().values(**place, **told, **sizes))


def still_since(connection: sa.Connection, job_id: str, now: Progress) -> Instant | None:
    """Since when a job has been as far as it is now, at the least; None: nothing is known."""
    same = {"step": now.step, "done_bytes": now.done_bytes, "stored_bytes": now.stored_bytes}
    query = sa.select(sa.func.min(table.c.at)).where(
        table.c.job_id == job_id, *(table.c[name] == value for name, value in same.items())
    )
    found: Instant | None = connection.execute(query).scalar()
    return found


def list_of_job(connection: sa.Connection, job_id: str) -> list[Sample]:
    """All of them, in order."""
    query = sa.select(table).where(table.c.job_id == job_id).order_by(table.c.number)
    return [_sample(row) for row in connection.execute(query).mappings()]


def lately(
    connection: sa.Connection, since: Mapping[str, Instant]
) -> dict[str, list[tuple[Instant, int]]]:
    """Job -> (when, bytes done), in order, from its moment on; of jobs that have any."""
    wanted = (sa.and_(table.c.job_id == job, table.c.at >= at) for job, at in since.items())
    query = sa.select(table.c.job_id, table.c.at, table.c.done_bytes)
    query = query.where(sa.or_(sa.false(), *wanted)).order_by(table.c.job_id, table.c.number)
    found: dict[str, list[tuple[Instant, int]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.job_id, []).append((row.at, row.done_bytes))
    return found


def forget(connection: sa.Connection, before: Instant) -> int:
    """Drop those of before then; how many there were."""
    return connection.execute(table.delete().where(table.c.at < before)).rowcount


def _sample(row: sa.RowMapping) -> Sample:
    return Sample(**{name: row[name] for name in Sample.__struct_fields__})
