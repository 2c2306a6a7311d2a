"""Backup instances. Rows carry the names of policy, vault and server beside their own columns,

and when the next scheduled backup is, or was, due.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import instances as table
from strongroom.catalog.tables import policies, resource_groups, schedules, servers, vaults
from strongroom.model.ids import InstanceId

_NEXT = sa.select(sa.func.min(schedules.c.next_fire_at)).where(
    schedules.c.instance_id == table.c.id
)
_SELECT = (
    sa.select(
        table,
        policies.c.name.label("policy_name"),
        vaults.c.name.label("vault_name"),
        servers.c.name.label("server_name"),
        servers.c.location.label("server_location"),
        resource_groups.c.name.label("server_group"),
        _NEXT.correlate(table).scalar_subquery().label("next_fire_at"),
    )
    .join(vaults, table.c.vault_id == vaults.c.id)
    .join(policies, table.c.policy_id == policies.c.id)
    .join(servers, table.c.server_id == servers.c.id)
    .join(resource_groups, servers.c.resource_group_key == resource_groups.c.name_key)
)


def add(connection: sa.Connection, instance: dict[str, Any]) -> None:
    """A new instance, as the columns of the table name it."""
    connection.execute(table.insert().values(**instance))


def find(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """An instance of a vault by its name, whatever its case."""
    query = _SELECT.where(table.c.vault_id == vault_id, table.c.name_key == name.lower())
    return connection.execute(query).mappings().first()


def list_of_vault(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The instances of a vault, by name."""
    query = _SELECT.where(table.c.vault_id == vault_id).order_by(table.c.name_key)
    return list(connection.execute(query).mappings())


def list_ids(connection: sa.Connection) -> list[InstanceId]:
    """Of every vault."""
    return [InstanceId(found) for found in connection.execute(sa.select(table.c.id)).scalars()]


def of_server(connection: sa.Connection, server_id: str) -> sa.RowMapping | None:
    """The instance that protects a server, in whichever vault."""
    return connection.execute(_SELECT.where(table.c.server_id == server_id)).mappings().first()


def change(connection: sa.Connection, instance_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == instance_id).values(**values))
