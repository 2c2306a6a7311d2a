"""Principals: whoever can hold a role."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.tables import principals as table


def add(connection: sa.Connection, principal: dict[str, Any]) -> None:
    """A new principal, as the columns of the table name it."""
    connection.execute(table.insert().values(**principal))


def find(connection: sa.Connection, principal_id: str) -> sa.RowMapping | None:
    """A principal by its object id."""
    query = sa.select(table).where(table.c.id == principal_id)
    return connection.execute(query).mappings().first()


def find_by_app(connection: sa.Connection, app_id: str) -> sa.RowMapping | None:
    """A service principal by its client id."""
    query = sa.select(table).where(table.c.app_id == app_id)
    return connection.execute(query).mappings().first()


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """All of them, the oldest first."""
    query = sa.select(table).order_by(table.c.created_at, table.c.id)
    return list(connection.execute(query).mappings())


def list_of_issuer(connection: sa.Connection, issuer_id: str) -> list[sa.RowMapping]:
    """Those that a foreign issuer vouches for."""
    query = sa.select(table).where(table.c.issuer_id == issuer_id)
    return list(connection.execute(query).mappings())


def change(connection: sa.Connection, principal_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == principal_id).values(**values))


def remove(connection: sa.Connection, principal_id: str) -> None:
    """It is gone; its roles must be gone before."""
    connection.execute(table.delete().where(table.c.id == principal_id))
