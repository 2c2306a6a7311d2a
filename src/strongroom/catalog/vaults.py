"""Backup vaults. Rows carry the name of their `resource_group`, and the id of the resource guard
that they stand under, if any, beside their own columns.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import guard_proxies, instances, resource_groups
from strongroom.catalog.tables import vaults as table

_SELECT = (
    sa.select(table, resource_groups.c.name.label("resource_group"), guard_proxies.c.guard_id)
    .join(resource_groups, table.c.resource_group_key == resource_groups.c.name_key)
    .outerjoin(guard_proxies, guard_proxies.c.vault_id == table.c.id)
)


def add(connection: sa.Connection, vault: dict[str, Any]) -> None:
    """A new vault, as the columns of the table name it."""
    connection.execute(table.insert().values(**vault))


def find(connection: sa.Connection, group: str, name: str) -> sa.RowMapping | None:
    """A vault by its names, whatever their case."""
    query = _SELECT.where(
        table.c.resource_group_key == group.lower(), table.c.name_key == name.lower()
    )
    return connection.execute(query).mappings().first()


def list_of_group(connection: sa.Connection, group: str | None) -> list[sa.RowMapping]:
    """The vaults of a group, or of the subscription; by name."""
    query = _SELECT.order_by(table.c.name_key, table.c.resource_group_key)
    if group is not None:
        query = query.where(table.c.resource_group_key == group.lower())
    return list(connection.execute(query).mappings())


def by_id(connection: sa.Connection, vault_id: str) -> sa.RowMapping | None:
    """A vault by its id, a deleted one too."""
    return connection.execute(_SELECT.where(table.c.id == vault_id)).mappings().first()


def of_instance(connection: sa.Connection, instance_id: str) -> sa.RowMapping:
    """The vault that a backup instance lies in."""
    query = _SELECT.join(instances, instances.c.vault_id == table.c.id)
    return connection.execute(query.where(instances.c.id == instance_id)).mappings().one()


def change(connection: sa.Connection, vault_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == vault_id).values(**values))


def remove(connection: sa.Connection, vault_id: str) -> None:
    """An empty vault goes; its jobs and instances would stand in the way."""
    connection.execute(table.delete().where(table.c.id == vault_id))
