"""Who holds which role at which scope."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.tables import role_assignments as table
from strongroom.model.identities.access import scope_contains

# Asked by every request: a statement that is built once costs a third.
_OF_PRINCIPALS = sa.select(table).where(
    table.c.principal_id.in_(sa.bindparam("ids", expanding=True))
)


def add(connection: sa.Connection, assignment: dict[str, Any]) -> None:
    """A new assignment, as the columns of the table name it."""
    connection.execute(table.insert().values(**assignment))


def find(connection: sa.Connection, assignment_id: str) -> sa.RowMapping | None:
    """One assignment by its GUID."""
    query = sa.select(table).where(table.c.id == assignment_id)
    return connection.execute(query).mappings().first()


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """All of them, the oldest first: there are few."""
    return list(connection.execute(sa.select(table).order_by(table.c.created_at)).mappings())


def list_of_principal(connection: sa.Connection, principal_id: str) -> list[sa.RowMapping]:
    """Those of one principal."""
    return list_of_principals(connection, (principal_id,))


def list_of_principals(connection: sa.Connection, ids: Sequence[str]) -> list[sa.RowMapping]:
    """Those of any of them."""
    return list(connection.execute(_OF_PRINCIPALS, {"ids": list(ids)}).mappings())


def list_of_role(connection: sa.Connection, role_id: str) -> list[sa.RowMapping]:
    """Those that give one role."""
    query = sa.select(table).where(table.c.role_id == role_id)
    return list(connection.execute(query).mappings())


def remove(connection: sa.Connection, assignment_id: str) -> None:
    """Take a role away."""
    connection.execute(table.delete().where(table.c.id == assignment_id))


def remove_below(connection: sa.Connection, scope: str) -> list[sa.RowMapping]:
    """Those at a scope that is gone, and at whatever was in it. Returns them."""
    rows = [row for row in list_all(connection) if scope_contains(scope, row["scope"])]
    connection.execute(table.delete().where(table.c.id.in_([row["id"] for row in rows])))
    return rows


def remove_of_principal(connection: sa.Connection, principal_id: str) -> None:
    """Whoever is gone holds nothing."""
    connection.execute(table.delete().where(table.c.principal_id == principal_id))
