"""PostgreSQL servers. Rows carry the name of their `resource_group` beside their own columns."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.tables import resource_groups
from strongroom.catalog.tables.tables import servers as table

_SELECT = sa.select(table, resource_groups.c.name.label("resource_group")).join(
    resource_groups, table.c.resource_group_key == resource_groups.c.name_key
)


def add(connection: sa.Connection, server: dict[str, Any]) -> None:
    """A new server, as the columns of the table name it."""
    connection.execute(table.insert().values(**server))


def find(connection: sa.Connection, group: str, name: str) -> sa.RowMapping | None:
    """A server by its names, whatever their case."""
    query = _SELECT.where(
        table.c.resource_group_key == group.lower(), table.c.name_key == name.lower()
    )
    return connection.execute(query).mappings().first()


def by_id(connection: sa.Connection, server_id: str) -> sa.RowMapping | None:
    """A server by the catalogue's own id."""
    return connection.execute(_SELECT.where(table.c.id == server_id)).mappings().first()


def of_agent(connection: sa.Connection, agent_id: str, agent_server: str) -> sa.RowMapping | None:
    """The server that an agent knows by this name."""
    query = _SELECT.where(table.c.agent_id == agent_id, table.c.agent_server == agent_server)
    return connection.execute(query).mappings().first()


def list_of_group(connection: sa.Connection, group: str | None) -> list[sa.RowMapping]:
    """The servers of a group, or of the subscription; by name."""
    query = _SELECT.order_by(table.c.name_key, table.c.resource_group_key)
    if group is not None:
        query = query.where(table.c.resource_group_key == group.lower())
    return list(connection.execute(query).mappings())


def change(connection: sa.Connection, server_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == server_id).values(**values))
