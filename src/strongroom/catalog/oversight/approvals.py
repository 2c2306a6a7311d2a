"""Requests for a second person's approval, and what became of them.

Waiting    nobody has decided; over when it expires
Granted    good for one use, from `good_from` until it expires
Denied     no
Withdrawn  taken back, by whoever asked or by an approver, before it was used
Used       spent on the one thing that it was given for
"""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.keeping_tables import approvals as table

WAITING, GRANTED, DENIED, USED = "Waiting", "Granted", "Denied", "Used"
WITHDRAWN = "Withdrawn"


def add(connection: sa.Connection, approval: dict[str, Any]) -> None:
    """A new one, as the columns of the table name it."""
    connection.execute(table.insert().values(**approval))


def find(connection: sa.Connection, approval_id: str) -> sa.RowMapping | None:
    """One by its id."""
    return connection.execute(sa.select(table).where(table.c.id == approval_id)).mappings().first()


def list_of_guard(connection: sa.Connection, guard_id: str) -> list[sa.RowMapping]:
    """All that were asked of a guard, the newest first."""
    query = sa.select(table).where(table.c.guard_id == guard_id)
    return list(connection.execute(query.order_by(table.c.asked_at.desc(), table.c.id)).mappings())


def open_ones(
    connection: sa.Connection, guard_id: str, asked_by: str, digest: str, state: str, now: Instant
) -> list[sa.RowMapping]:
    """Those of one caller for exactly this that are not over, the oldest first."""
    query = sa.select(table).where(
        table.c.digest == digest,
        table.c.guard_id == guard_id,
        table.c.asked_by == asked_by,
        table.c.state == state,
        table.c.expires_at > now,
    )
    return list(connection.execute(query.order_by(table.c.asked_at, table.c.id)).mappings())


def waiting(connection: sa.Connection, now: Instant) -> list[sa.RowMapping]:
    """Those that nobody has decided yet, of every guard."""
    query = sa.select(table).where(table.c.state == WAITING, table.c.expires_at > now)
    return list(connection.execute(query).mappings())


def count_waiting(connection: sa.Connection, guard_id: str, now: Instant) -> int:
    """How many wait at a guard."""
    query = sa.select(sa.func.count()).where(
        table.c.guard_id == guard_id, table.c.state == WAITING, table.c.expires_at > now
    )
    return int(connection.execute(query).scalar_one())


def decide(
    connection: sa.Connection,
    approval_id: str,
    state: str,
    by: tuple[str, Instant],
    good: tuple[Instant, Instant],
) -> None:
    """Granted, denied or withdrawn, by (principal, time); `good` = (from, until)."""
    values = {"state": state, "decided_by": by[0], "decided_at": by[1]}
    values |= {"good_from": good[0], "expires_at": good[1]}
    connection.execute(table.update().where(table.c.id == approval_id).values(**values))


def use(connection: sa.Connection, approval_id: str, at: Instant) -> None:
    """Spend it."""
    values = {"state": USED, "used_at": at}
    connection.execute(table.update().where(table.c.id == approval_id).values(**values))


def remove_of_guard(connection: sa.Connection, guard_id: str) -> None:
    """The guard goes; the audit keeps what was asked of it."""
    connection.execute(table.delete().where(table.c.guard_id == guard_id))
