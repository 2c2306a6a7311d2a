"""Resource guards, and which vault stands under which."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.keeping_tables import guard_proxies as proxies
from strongroom.catalog.tables.keeping_tables import resource_guards as table
from strongroom.catalog.tables.tables import resource_groups

_SELECT = sa.select(table, resource_groups.c.name.label("resource_group")).join(
    resource_groups, table.c.resource_group_key == resource_groups.c.name_key
)


def add(connection: sa.Connection, guard: dict[str, Any]) -> None:
    """A new guard, as the columns of the table name it."""
    connection.execute(table.insert().values(**guard))


def find(connection: sa.Connection, group: str, name: str) -> sa.RowMapping | None:
    """A guard by its names, whatever their case."""
    query = _SELECT.where(
        table.c.resource_group_key == group.lower(), table.c.name_key == name.lower()
    )
    return connection.execute(query).mappings().first()


def by_id(connection: sa.Connection, guard_id: str) -> sa.RowMapping:
    """The guard of an approval or a proxy."""
    return connection.execute(_SELECT.where(table.c.id == guard_id)).mappings().one()


def list_of_group(connection: sa.Connection, group: str | None) -> list[sa.RowMapping]:
    """The guards of a group, or of the subscription; by name."""
    query = _SELECT.order_by(table.c.name_key, table.c.resource_group_key)
    if group is not None:
        query = query.where(table.c.resource_group_key == group.lower())
    return list(connection.execute(query).mappings())


def change(connection: sa.Connection, guard_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == guard_id).values(**values))


def remove(connection: sa.Connection, guard_id: str) -> None:
    """It is gone; no vault may stand under it."""
    connection.execute(table.delete().where(table.c.id == guard_id))


def in_use(connection: sa.Connection) -> list[sa.RowMapping]:
    """The guards that some vault stands under."""
    query = _SELECT.where(table.c.id.in_(sa.select(proxies.c.guard_id))).order_by(table.c.id)
    return list(connection.execute(query).mappings())


def of_vault(connection: sa.Connection, vault_id: str) -> sa.RowMapping | None:
    """The guard that a vault stands under, with `updated_at` of the proxy."""
    query = _SELECT.add_columns(proxies.c.updated_at).join(
        proxies, proxies.c.guard_id == table.c.id
    )
    return connection.execute(query.where(proxies.c.vault_id == vault_id)).mappings().first()


def put_under(connection: sa.Connection, vault_id: str, guard_id: str, at: Instant) -> None:
    """A vault stands under this guard from now on."""
    take_from(connection, vault_id)
    row = {"vault_id": vault_id, "guard_id": guard_id, "updated_at": at}
    connection.execute(proxies.insert().values(**row))


def take_from(connection: sa.Connection, vault_id: str) -> None:
    """It stands under none."""
    connection.execute(proxies.delete().where(proxies.c.vault_id == vault_id))
