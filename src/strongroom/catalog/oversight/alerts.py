"""Alerts: rows in, `Alert` out; and the rows in which causes are found."""

from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.keeping_tables import deletions, expiry_holds
from strongroom.catalog.tables.portal_tables import alerts as table
from strongroom.catalog.tables.tables import (
    agent_operations,
    agents,
    instances,
    jobs,
    storage_findings,
)
from strongroom.model.oversight.alert import Alert, Cause
from strongroom.model.work.job import JobKind, JobStatus


def _alerts(connection: sa.Connection, query: sa.Select[Any]) -> list[Alert]:
    return [Alert(**row) for row in connection.execute(query).mappings()]


def open_ones(connection: sa.Connection) -> list[Alert]:
    """Those whose cause is there still, the newest first."""
    query = sa.select(table).where(table.c.ended_at.is_(None))
    return _alerts(connection, query.order_by(table.c.since.desc(), table.c.id))


def unseen(connection: sa.Connection) -> list[str]:
    """The subject of each whose cause is there still and which nobody has acknowledged."""
    query = sa.select(table.c.subject).where(
        table.c.ended_at.is_(None), table.c.acknowledged_at.is_(None)
    )
    return list(connection.execute(query).scalars())


def ended_ones(connection: sa.Connection, most: int) -> list[Alert]:
    """The newest that have ended."""
    query = sa.select(table).where(table.c.ended_at.is_not(None))
    return _alerts(connection, query.order_by(table.c.ended_at.desc()).limit(most))


def untold(connection: sa.Connection, most: int) -> list[Alert]:
    """Those of whose begin, or end, nobody was told yet; the oldest first."""
    begun = table.c.told_at.is_(None)
    over = sa.and_(table.c.ended_at.is_not(None), table.c.end_told_at.is_(None))
    query = sa.select(table).where(sa.or_(begun, over)).order_by(table.c.since).limit(most)
    return _alerts(connection, query)


def begin(connection: sa.Connection, alert_id: str, cause: Cause, at: Instant) -> None:
    """A cause that was not there before."""
    row = {"id": alert_id, "since": at, **msgspec.structs.asdict(cause)}
    connection.execute(table.insert().values(**row))


def change(connection: sa.Connection, alert_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == alert_id).values(**values))


def forget_ended(connection: sa.Connection, before: Instant) -> None:
    """Those that ended before then."""
    connection.execute(table.delete().where(table.c.ended_at < before))


def failed_restores(connection: sa.Connection, since: Instant) -> list[sa.RowMapping]:
    """Restore jobs that failed since then: id, instance_id, ended_at, error."""
    query = sa.select(jobs.c.id, jobs.c.instance_id, jobs.c.ended_at, jobs.c.error).where(
        jobs.c.kind == JobKind.RESTORE.value,
        jobs.c.status == JobStatus.FAILED.value,
        jobs.c.started_at >= since.subtract(hours=72),
        jobs.c.ended_at >= since,
    )
    return list(connection.execute(query).mappings())


def coming_purges(connection: sa.Connection, until: Instant) -> list[sa.RowMapping]:
    """Deleted instances that go for good before then: id, name, purge_at."""
    query = (
        sa.select(deletions.c.id, instances.c.name, deletions.c.purge_at)
        .join(instances, instances.c.id == deletions.c.id)
        .where(deletions.c.purge_at <= until)
    )
    return list(connection.execute(query).mappings())


def held_expiries(connection: sa.Connection) -> dict[str, str]:
    """Instance -> why none of its points ends."""
    query = sa.select(expiry_holds.c.instance_id, expiry_holds.c.why)
    return {row.instance_id: row.why for row in connection.execute(query)}


def damaged(connection: sa.Connection) -> dict[str, int]:
    """Instance -> how many objects of it are damaged, missing, unreadable or in quarantine."""
    return _findings(connection, storage_findings.c.kind != "unlocked")


def unlocked(connection: sa.Connection) -> dict[str, int]:
    """Instance -> how many objects of it had a lock that was too short."""
    return _findings(connection, storage_findings.c.kind == "unlocked")


def _findings(connection: sa.Connection, which: sa.ColumnElement[bool]) -> dict[str, int]:
    query = sa.select(storage_findings.c.instance_id, sa.func.count()).where(which)
    found = connection.execute(query.group_by(storage_findings.c.instance_id))
    return {row[0]: int(row[1]) for row in found}


def last_heard(connection: sa.Connection) -> list[tuple[str, str, Instant]]:
    """(id, name, when) of each agent: when it called, or until when its word on work counts."""
    lease = sa.func.max(agent_operations.c.lease_until).label("lease")
    leases = sa.select(agent_operations.c.agent_id, lease)
    leases_of = leases.group_by(agent_operations.c.agent_id).subquery()
    query = sa.select(agents.c.id, agents.c.name, agents.c.seen_at, leases_of.c.lease).join(
        leases_of, leases_of.c.agent_id == agents.c.id, isouter=True
    )
    return [
        (row.id, row.name, max(row.seen_at, row.lease or row.seen_at))
        for row in connection.execute(query)
    ]
