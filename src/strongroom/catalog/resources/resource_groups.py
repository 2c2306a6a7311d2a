"""Resource groups."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import resource_groups as table
from strongroom.catalog.tables.tables import vaults


def add(connection: sa.Connection, group: dict[str, Any]) -> None:
    """A new group, as the columns of the table name it; or one that was deleted, made anew."""
    mine = table.c.name_key == group["name_key"], table.c.deleted_at.is_not(None)
    again = table.update().where(*mine).values(**group, deleted_at=None)
    if not connection.execute(again).rowcount:
        connection.execute(table.insert().values(**group))


def find(connection: sa.Connection, name: str) -> sa.RowMapping | None:
    """A group by its name, whatever its case."""
    query = sa.select(table).where(table.c.name_key == name.lower(), table.c.deleted_at.is_(None))
    return connection.execute(query).mappings().first()


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """Every group, by name."""
    query = sa.select(table).where(table.c.deleted_at.is_(None)).order_by(table.c.name_key)
    return list(connection.execute(query).mappings())


def change(connection: sa.Connection, name: str, **values: Any) -> None:  # noqa: ANN401
    """New tags."""
    connection.execute(table.update().where(table.c.name_key == name.lower()).values(**values))


def forget_empty(connection: sa.Connection) -> None:
    """Deleted groups whose last deleted vault is gone."""
    held = sa.select(vaults.c.resource_group_key)
    over = table.c.deleted_at.is_not(None), table.c.name_key.not_in(held)
    connection.execute(table.delete().where(*over))


def remove(connection: sa.Connection, name: str, at: Instant) -> None:
    """It is gone. While deleted vaults are in it, its row is kept: for them to come back to."""
    mine = table.c.name_key == name.lower()
    held = sa.select(vaults.c.id).where(vaults.c.resource_group_key == name.lower())
    if connection.execute(held.limit(1)).first() is None:
        connection.execute(table.delete().where(mine))
    else:
        connection.execute(table.update().where(mine).values(deleted_at=at))
