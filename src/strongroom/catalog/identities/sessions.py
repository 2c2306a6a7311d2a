"""Sessions of the portal, by the digest of their cookie."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.portal_tables import sessions as table


def add(connection: sa.Connection, session: dict[str, Any]) -> None:
    """A new one, as the columns of the table name it."""
    connection.execute(table.insert().values(**session))


def find(connection: sa.Connection, token_hash: str) -> sa.RowMapping | None:
    """The session of a cookie, over or not."""
    query = sa.select(table).where(table.c.token_hash == token_hash)
    return connection.execute(query).mappings().first()


def touch(connection: sa.Connection, token_hash: str, at: Instant) -> None:
    """It was used."""
    connection.execute(table.update().where(table.c.token_hash == token_hash).values(seen_at=at))


def remove(connection: sa.Connection, token_hash: str) -> None:
    """It is over."""
    connection.execute(table.delete().where(table.c.token_hash == token_hash))


def remove_of_principal(connection: sa.Connection, principal_id: str) -> None:
    """All of somebody's: their password has changed."""
    connection.execute(table.delete().where(table.c.principal_id == principal_id))


def remove_ended(connection: sa.Connection, at: Instant) -> None:
    """Those whose time is over."""
    connection.execute(table.delete().where(table.c.ends_at <= at))
