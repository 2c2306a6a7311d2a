"""Roles that people made themselves; the built-in ones are in model/identities/access.py."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.access_tables import role_definitions as table
from strongroom.model.identities.access import RoleDefinition


def add(connection: sa.Connection, row: dict[str, Any]) -> None:
    """A new role, as the columns of the table name it."""
    connection.execute(table.insert().values(**row))


def change(connection: sa.Connection, role_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == role_id).values(**values))


def remove(connection: sa.Connection, role_id: str) -> None:
    """Nobody must hold it any more."""
    connection.execute(table.delete().where(table.c.id == role_id))


def find(connection: sa.Connection, role_id: str) -> RoleDefinition | None:
    """One by its GUID."""
    found = by_ids(connection, [role_id])
    return found.get(role_id)


def by_ids(connection: sa.Connection, role_ids: list[str]) -> dict[str, RoleDefinition]:
    """Those of these GUIDs that are there."""
    query = sa.select(table).where(table.c.id.in_(role_ids))
    return {row["id"]: _role(row) for row in connection.execute(query).mappings()}


def list_all(connection: sa.Connection) -> list[RoleDefinition]:
    """All of them, by name."""
    query = sa.select(table).order_by(table.c.name_key)
    return [_role(row) for row in connection.execute(query).mappings()]


def _role(row: sa.RowMapping) -> RoleDefinition:
    return RoleDefinition(
        id=row["id"],
        name=row["name"],
        actions=tuple(row["actions"]),
        not_actions=tuple(row["not_actions"]),
        data_actions=tuple(row["data_actions"]),
        not_data_actions=tuple(row["not_data_actions"]),
        scopes=tuple(row["assignable_scopes"]),
        description=row["description"],
        custom=True,
    )
