"""Backup vaults. Rows carry the name of their `resource_group`, and the id of the resource guard
that they stand under, if any, beside their own columns.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.keeping_tables import guard_proxies
from strongroom.catalog.tables.tables import instances, resource_groups
from strongroom.catalog.tables.tables import vaults as table

_SELECT = (
    sa.select(table, resource_groups.c.name.label("resource_group"), guard_proxies.c.guard_id)
    .join(resource_groups, table.c.resource_group_key == resource_groups.c.name_key)
    .outerjoin(guard_proxies, guard_proxies.c.vault_id == table.c.id)
)

SOFT_DELETED = "SoftDeleted"
_IS_THERE = table.c.state != SOFT_DELETED
_NAMED = _SELECT.where(
    table.c.resource_group_key == sa.bindparam("group"),
    table.c.name_key == sa.bindparam("vault"),
    _IS_THERE,
)


def add(connection: sa.Connection, vault: dict[str, Any]) -> None:
    """A new vault, as the columns of the table name it."""
    connection.execute(table.insert().values(**vault))


def find(connection: sa.Connection, group: str, name: str) -> sa.RowMapping | None:
    """A vault by its names, whatever their case."""
    names = {"group": group.lower(), "vault": name.lower()}
    return connection.execute(_NAMED, names).mappings().first()


def list_of_group(connection: sa.Connection, group: str | None) -> list[sa.RowMapping]:
    """The vaults of a group, or of the subscription; by name."""
    query = _SELECT.where(_IS_THERE).order_by(table.c.name_key, table.c.resource_group_key)
    if group is not None:
        query = query.where(table.c.resource_group_key == group.lower())
    return list(connection.execute(query).mappings())


def list_deleted(connection: sa.Connection) -> list[sa.RowMapping]:
    """The soft-deleted vaults of the subscription."""
    return list(connection.execute(_SELECT.where(~_IS_THERE)).mappings())


def hide(connection: sa.Connection, vault: sa.RowMapping) -> None:
    """It is soft-deleted: its name is free, and it is found by its id alone."""
    key = f"{vault['name_key']} {vault['id']}"  # no name has a blank
    change(connection, vault["id"], state=SOFT_DELETED, name_key=key)


def show(connection: sa.Connection, vault: sa.RowMapping) -> None:
    """The reverse. Raises Conflict when the name is taken."""
    change(connection, vault["id"], state="Succeeded", name_key=vault["name"].lower())


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
