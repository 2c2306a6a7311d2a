"""Principals and the roles they hold."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import principals, role_assignments


def add(connection: sa.Connection, principal: dict[str, Any]) -> None:
    """A new principal."""
    connection.execute(principals.insert().values(**principal))


def find_by_app(connection: sa.Connection, app_id: str) -> sa.RowMapping | None:
    """A service principal by its client id."""
    query = sa.select(principals).where(principals.c.app_id == app_id)
    return connection.execute(query).mappings().first()


def assign(connection: sa.Connection, assignment: dict[str, Any]) -> None:
    """A new role assignment."""
    connection.execute(role_assignments.insert().values(**assignment))


def assignments(connection: sa.Connection) -> list[sa.RowMapping]:
    """All of them: there are few."""
    query = sa.select(role_assignments).order_by(role_assignments.c.created_at)
    return list(connection.execute(query).mappings())


def assignments_of(connection: sa.Connection, principal_id: str) -> list[sa.RowMapping]:
    """Those of one principal."""
    query = sa.select(role_assignments).where(role_assignments.c.principal_id == principal_id)
    return list(connection.execute(query).mappings())


def remove_assignment(connection: sa.Connection, assignment_id: str) -> None:
    """Take a role away."""
    connection.execute(role_assignments.delete().where(role_assignments.c.id == assignment_id))
