"""What was deleted and is still there: until when it can be had back, and whether that is over.

A thing has one row while it is soft-deleted, by its own id: an instance, a point, a vault.
`begun` is the point of no return: from then on it is purged, and only what storage keeps is left.
"""

from collections.abc import Collection
from typing import Final, Literal

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.keeping_tables import deletions as table

Kind = Literal["instance", "point", "vault"]
INSTANCE: Final = "instance"
POINT: Final = "point"
VAULT: Final = "vault"


def add(
    connection: sa.Connection,
    what: tuple[Kind, str, str],
    at: Instant,
    purge_at: Instant,
    by: tuple[str, str],
) -> None:
    """Of `what` = (kind, id, vault's id), by `by` = (principal, operation)."""
    kind, thing, vault_id = what
    row = {"id": thing, "kind": kind, "vault_id": vault_id, "deleted_at": at}
    row |= {"deleted_by": by[0], "activity_id": by[1], "purge_at": purge_at, "begun": False}
    connection.execute(table.insert().values(**row))


def find(connection: sa.Connection, thing: str) -> sa.RowMapping | None:
    """The deletion of a thing, while it is there."""
    return connection.execute(sa.select(table).where(table.c.id == thing)).mappings().first()


def of(connection: sa.Connection, things: Collection[str]) -> dict[str, sa.RowMapping]:
    """Those of several things, by their ids."""
    rows = connection.execute(sa.select(table).where(table.c.id.in_(list(things)))).mappings()
    return {row["id"]: row for row in rows}


def due(connection: sa.Connection, kind: Kind, now: Instant) -> list[sa.RowMapping]:
    """Those whose time is over, the oldest first."""
    query = sa.select(table).where(table.c.kind == kind, table.c.purge_at <= now)
    return list(connection.execute(query.order_by(table.c.purge_at, table.c.id)).mappings())


def unwarned(connection: sa.Connection, before: Instant) -> list[sa.RowMapping]:
    """Those that go before then, and of which nobody has been told yet."""
    query = sa.select(table).where(table.c.purge_at <= before, table.c.warned_at.is_(None))
    return list(connection.execute(query.order_by(table.c.purge_at, table.c.id)).mappings())


def hasten(connection: sa.Connection, thing: str, at: Instant) -> None:
    """It is purged from then on, and not only when its time is over; nobody is warned."""
    mine = table.update().where(table.c.id == thing)
    connection.execute(mine.values(purge_at=at, warned_at=at))


def note_warned(connection: sa.Connection, thing: str, at: Instant) -> None:
    """It has been told."""
    connection.execute(table.update().where(table.c.id == thing).values(warned_at=at))


def begin(connection: sa.Connection, thing: str) -> None:
    """There is no way back from here."""
    connection.execute(table.update().where(table.c.id == thing).values(begun=True))


def drop(connection: sa.Connection, thing: str) -> None:
    """It is back, or gone."""
    connection.execute(table.delete().where(table.c.id == thing))
