"""Resource groups, vaults, policies, servers and instances, by their names."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import (
    agents,
    instances,
    policies,
    resource_groups,
    servers,
    vaults,
)


def _one(connection: sa.Connection, query: sa.Select[Any]) -> sa.RowMapping | None:
    return connection.execute(query).mappings().first()


def add(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """A new row of any of these tables."""
    connection.execute(table.insert().values(**row))


def change(
    connection: sa.Connection, table: sa.Table, row_id: str, values: dict[str, Any]
) -> None:
    """New values of a row by its id."""
    connection.execute(table.update().where(table.c.id == row_id).values(**values))


def group(connection: sa.Connection, name: str) -> sa.RowMapping | None:
    """A resource group."""
    query = sa.select(resource_groups).where(resource_groups.c.name_key == name.lower())
    return _one(connection, query)


def groups(connection: sa.Connection) -> list[sa.RowMapping]:
    """All resource groups."""
    query = sa.select(resource_groups).order_by(resource_groups.c.name_key)
    return list(connection.execute(query).mappings())


_VAULT = sa.select(vaults, resource_groups.c.name.label("resource_group")).join(
    resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key
)


def vault(connection: sa.Connection, group_name: str, name: str) -> sa.RowMapping | None:
    """A vault."""
    query = _VAULT.where(
        vaults.c.resource_group_key == group_name.lower(), vaults.c.name_key == name.lower()
    )
    return _one(connection, query)


def vaults_of(connection: sa.Connection, group_name: str | None) -> list[sa.RowMapping]:
    """The vaults of a group, or all."""
    query = _VAULT.order_by(vaults.c.name_key)
    if group_name is not None:
        query = query.where(vaults.c.resource_group_key == group_name.lower())
    return list(connection.execute(query).mappings())


def policy(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """A policy of a vault."""
    query = sa.select(policies).where(
        policies.c.vault_id == vault_id, policies.c.name_key == name.lower()
    )
    return _one(connection, query)


def policies_of(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The policies of a vault."""
    query = sa.select(policies).where(policies.c.vault_id == vault_id)
    return list(connection.execute(query.order_by(policies.c.name_key)).mappings())


_SERVER = sa.select(servers, resource_groups.c.name.label("resource_group")).join(
    resource_groups, servers.c.resource_group_key == resource_groups.c.name_key
)


def server(connection: sa.Connection, group_name: str, name: str) -> sa.RowMapping | None:
    """A PostgreSQL server."""
    query = _SERVER.where(
        servers.c.resource_group_key == group_name.lower(), servers.c.name_key == name.lower()
    )
    return _one(connection, query)


def server_by_id(connection: sa.Connection, server_id: str) -> sa.RowMapping | None:
    """A PostgreSQL server by the catalogue's id."""
    return _one(connection, _SERVER.where(servers.c.id == server_id))


def servers_of(connection: sa.Connection, group_name: str | None) -> list[sa.RowMapping]:
    """The servers of a group, or all."""
    query = _SERVER.order_by(servers.c.name_key)
    if group_name is not None:
        query = query.where(servers.c.resource_group_key == group_name.lower())
    return list(connection.execute(query).mappings())


_INSTANCE = (
    sa.select(
        instances,
        policies.c.name.label("policy_name"),
        servers.c.name.label("server_name"),
        servers.c.location.label("server_location"),
        resource_groups.c.name.label("server_group"),
    )
    .join(policies, instances.c.policy_id == policies.c.id)
    .join(servers, instances.c.server_id == servers.c.id)
    .join(resource_groups, servers.c.resource_group_key == resource_groups.c.name_key)
)


def instance(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """A backup instance of a vault."""
    query = _INSTANCE.where(instances.c.vault_id == vault_id, instances.c.name_key == name.lower())
    return _one(connection, query)


def instances_of(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The backup instances of a vault."""
    query = _INSTANCE.where(instances.c.vault_id == vault_id)
    return list(connection.execute(query.order_by(instances.c.name_key)).mappings())


def instance_of_server(connection: sa.Connection, server_id: str) -> sa.RowMapping | None:
    """The instance that protects a server, in whichever vault."""
    return _one(connection, _INSTANCE.where(instances.c.server_id == server_id))


def agent_by_name(connection: sa.Connection, name: str) -> sa.RowMapping | None:
    """An agent by name or id; the only one when no name is given."""
    query = sa.select(agents).order_by(agents.c.enrolled_at.desc())
    if name:
        query = query.where(sa.or_(agents.c.name == name, agents.c.id == name))
    return _one(connection, query)
