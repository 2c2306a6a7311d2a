"""Resource groups."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import resource_groups as table


def add(connection: sa.Connection, group: dict[str, Any]) -> None:
    """A new group, as the columns of the table name it."""
    connection.execute(table.insert().values(**group))


def find(connection: sa.Connection, name: str) -> sa.RowMapping | None:
    """A group by its name, whatever its case."""
    query = sa.select(table).where(table.c.name_key == name.lower())
    return connection.execute(query).mappings().first()


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """Every group, by name."""
    return list(connection.execute(sa.select(table).order_by(table.c.name_key)).mappings())


def change(connection: sa.Connection, name: str, **values: Any) -> None:  # noqa: ANN401
    """New tags."""
    connection.execute(table.update().where(table.c.name_key == name.lower()).values(**values))
