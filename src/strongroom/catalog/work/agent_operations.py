"""What agents are asked to do. Every lease has an epoch; a later one makes an earlier one void."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import agent_operations as table
from strongroom.catalog.tables.tables import jobs
from strongroom.model.errors import LeaseLost
from strongroom.model.work.job import JobStatus

OPEN = ("offered", "leased")
WITHOUT_STORAGE = ("check", "look")  # kinds that are given no access to it
ELSEWHERE = (*WITHOUT_STORAGE, "long-term")  # kinds that touch no container of the vaults


def offer(connection: sa.Connection, operation: dict[str, Any]) -> None:
    """Put an operation up for its agent; the same id twice is once."""
    known = sa.select(table.c.id).where(table.c.id == operation["id"])
    if connection.execute(known).scalar() is None:
        connection.execute(
            table.insert().values(**operation, status="offered", epoch=0, withdrawn=0, progress={})
        )


def _waiting(now: Instant) -> sa.ColumnElement[bool]:
    lapsed = sa.and_(table.c.status == "leased", table.c.lease_until < now)
    return sa.or_(table.c.status == "offered", lapsed)


def next_waiting(connection: sa.Connection, agent_id: str, now: Instant) -> sa.RowMapping | None:
    """The agent's oldest operation that is offered, or whose lease has run out; or None."""
    query = (
        sa.select(table)
        .where(table.c.agent_id == agent_id, _waiting(now))
        .order_by(table.c.created_at)
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def void_other_sessions(connection: sa.Connection, agent_id: str, session: str) -> int:
    """An agent that has started again holds nothing: what its last process held is free."""
    freed = connection.execute(
        table.update()
        .where(
            table.c.agent_id == agent_id,
            table.c.status == "leased",
            table.c.session != session,
        )
        .values(status="offered", lease_until=None)
    )
    return freed.rowcount


def given_to(
    connection: sa.Connection, agent_id: str, session: str, ask: str
) -> sa.RowMapping | None:
    """The lease that was the answer to this very call, if it still counts; or None."""
    query = sa.select(table).where(
        table.c.agent_id == agent_id,
        table.c.status == "leased",
        table.c.session == session,
        table.c.ask == ask,
    )
    return connection.execute(query).mappings().first() if ask else None


def lease(
    connection: sa.Connection,
    agent_id: str,
    session: str,
    now: Instant,
    until: Instant,
    ask: str = "",
) -> sa.RowMapping | None:
    """Give the agent its oldest operation that is offered, or whose lease has run out.

    A call that has been answered before is given the same again.
    """
    again = given_to(connection, agent_id, session, ask)
    if again is not None:
        return again
    found = next_waiting(connection, agent_id, now)
    if found is None:
        return None
    taken = connection.execute(
        table.update()
        .where(table.c.id == found["id"], table.c.epoch == found["epoch"])
        .values(
            status="leased",
            epoch=found["epoch"] + 1,
            lease_until=until,
            session=session,
            ask=ask,
        )
    )
    return get(connection, found["id"]) if taken.rowcount == 1 else None


def get(connection: sa.Connection, operation_id: str) -> sa.RowMapping | None:
    """One operation, or None."""
    query = sa.select(table).where(table.c.id == operation_id)
    return connection.execute(query).mappings().first()


def of_agent(connection: sa.Connection, operation_id: str, agent_id: str) -> sa.RowMapping:
    """The operation, if it was meant for this agent; else LeaseLost."""
    row = get(connection, operation_id)
    if row is None or row["agent_id"] != agent_id:
        raise LeaseLost(f"operation {operation_id} is not yours")
    return row


def held(connection: sa.Connection, operation_id: str, agent_id: str, epoch: int) -> sa.RowMapping:
    """The operation, if this agent's lease of this epoch still counts; else LeaseLost.

    A lease that has run out counts until the operation is leased again.
    """
    row = of_agent(connection, operation_id, agent_id)
    if row["epoch"] != epoch or row["status"] != "leased":
        raise LeaseLost(f"operation {operation_id} has gone on without this lease")
    return row


def renew(
    connection: sa.Connection, operation_id: str, until: Instant, progress: dict[str, Any]
) -> None:
    """The agent is alive and this far."""
    connection.execute(
        table.update()
        .where(table.c.id == operation_id)
        .values(lease_until=until, progress=progress)
    )


def end(
    connection: sa.Connection,
    operation_id: str,
    status: str,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Completed, failed or cancelled; an ended operation stays as it ended."""
    connection.execute(
        table.update()
        .where(table.c.id == operation_id, table.c.status.in_(OPEN))
        .values(status=status, result=result, error=error)
    )


def offer_again(connection: sa.Connection, operation_id: str) -> None:
    """A failure that may pass: the next lease gets a new epoch."""
    connection.execute(
        table.update()
        .where(table.c.id == operation_id, table.c.status == "leased")
        .values(status="offered", lease_until=None)
    )


def put_up_again(connection: sa.Connection, operation: dict[str, Any]) -> None:
    """One that has ended is wanted again; its epochs go on counting."""
    connection.execute(
        table.update()
        .where(table.c.id == operation["id"], table.c.status.not_in(OPEN))
        .values(**operation, status="offered", lease_until=None, result=None, error=None)
    )


def is_held(connection: sa.Connection, agent_id: str, now: Instant) -> bool:
    """Whether the agent is at work: it holds a lease that has not run out."""
    query = sa.select(table.c.id).where(
        table.c.agent_id == agent_id, table.c.status == "leased", table.c.lease_until > now
    )
    return connection.execute(query.limit(1)).first() is not None


def forget(connection: sa.Connection, before: Instant) -> int:
    """Drop what was asked before then and has ended, its job too; how many there were."""
    running = sa.select(jobs.c.id).where(jobs.c.status == JobStatus.IN_PROGRESS.value)
    over = sa.or_(table.c.job_id.is_(None), table.c.job_id.not_in(running))
    dropped = connection.execute(
        table.delete().where(table.c.created_at < before, table.c.status.not_in(OPEN), over)
    )
    return dropped.rowcount
