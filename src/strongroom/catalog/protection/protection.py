"""One protected server with everything around it: instance, vault, server, agent, policy."""

from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.tables.tables import instances, policies, resource_groups, servers, vaults
from strongroom.model.errors import NotFound
from strongroom.model.ids import InstanceId
from strongroom.model.protection.protection_state import SOFT_DELETED


class Protection(msgspec.Struct, kw_only=True):
    """What a backup or a restore needs to know before it begins."""

    instance_id: InstanceId
    instance_name: str
    state: str
    properties: dict[str, Any]  # of the instance, as it was asked for
    vault_id: str
    vault_name: str
    vault_principal_id: str
    resource_group: str
    location: str
    server_id: str
    server_name: str
    server_resource_group: str
    server_facts: dict[str, Any]
    agent_id: str
    agent_server: str
    policy_id: str
    policy_name: str
    policy_version: int
    policy: str  # ARM JSON text


_server_groups = resource_groups.alias("server_groups")
_SELECT = (
    sa.select(
        instances.c.id.label("instance_id"),
        instances.c.name.label("instance_name"),
        instances.c.state,
        instances.c.properties,
        vaults.c.id.label("vault_id"),
        vaults.c.name.label("vault_name"),
        vaults.c.principal_id.label("vault_principal_id"),
        resource_groups.c.name.label("resource_group"),
        vaults.c.location,
        servers.c.id.label("server_id"),
        servers.c.name.label("server_name"),
        _server_groups.c.name.label("server_resource_group"),
        servers.c.facts.label("server_facts"),
        servers.c.agent_id,
        servers.c.agent_server,
        policies.c.id.label("policy_id"),
        policies.c.name.label("policy_name"),
        policies.c.version.label("policy_version"),
        policies.c.properties.label("policy"),
    )
    .join(vaults, instances.c.vault_id == vaults.c.id)
    .join(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
    .join(servers, instances.c.server_id == servers.c.id)
    .join(_server_groups, servers.c.resource_group_key == _server_groups.c.name_key)
    .join(policies, instances.c.policy_id == policies.c.id)
)
_OF_VAULT = (
    vaults.c.resource_group_key == sa.bindparam("group"),
    vaults.c.name_key == sa.bindparam("vault"),
)
# Asked by most requests: a statement that is built once costs a third.
_NAMED = _SELECT.where(*_OF_VAULT, instances.c.name_key == sa.bindparam("name"))
_THERE = _NAMED.where(instances.c.state != SOFT_DELETED)
_BY_ID = _SELECT.where(instances.c.id == sa.bindparam("instance"))
_VAULT_ID = sa.select(vaults.c.id).where(*_OF_VAULT)


def by_name(
    connection: sa.Connection,
    resource_group: str,
    vault: str,
    instance: str,
    *,
    deleted: bool = False,
) -> Protection:
    """By ARM names, whatever their case; NotFound when there is none, or it is deleted.

    With `deleted` one that is soft-deleted is as good.
    """
    names = {"group": resource_group.lower(), "vault": vault.lower(), "name": instance.lower()}
    row = connection.execute(_NAMED if deleted else _THERE, names).mappings().first()
    if row is None:
        raise NotFound(f"vault {vault[:50]!r} has no backup instance {instance[:80]!r}")
    return Protection(**row)


def by_id(connection: sa.Connection, instance_id: str) -> Protection:
    """By the instance's id."""
    row = connection.execute(_BY_ID, {"instance": instance_id}).mappings().first()
    if row is None:
        raise NotFound(f"there is no backup instance {instance_id}")
    return Protection(**row)


def set_state(
    connection: sa.Connection,
    instance_id: str,
    state: str,
    error: dict[str, Any] | None = None,
) -> None:
    """currentProtectionState, and why when it is an error."""
    connection.execute(
        instances.update().where(instances.c.id == instance_id).values(state=state, error=error)
    )


def vault_id(connection: sa.Connection, resource_group: str, vault: str) -> str:
    """The id of a vault by its ARM names."""
    names = {"group": resource_group.lower(), "vault": vault.lower()}
    found = connection.execute(_VAULT_ID, names).scalar()
    if found is None:
        raise NotFound(
            f"there is no vault {vault[:50]!r} in resource group {resource_group[:90]!r}"
        )
    return str(found)
