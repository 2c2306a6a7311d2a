"""Backup instances. Rows carry the names of policy, vault and server beside their own columns,

when the next scheduled backup is, or was, due, and what is known of its drills and its expiry.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.keeping_tables import expiry_holds
from strongroom.catalog.tables.tables import (
    drills,
    policies,
    recovery_points,
    resource_groups,
    schedules,
    servers,
    vaults,
)
from strongroom.catalog.tables.tables import instances as table
from strongroom.model.ids import InstanceId
from strongroom.model.protection.protection_state import SOFT_DELETED

_vault_groups = resource_groups.alias("vault_groups")
_NEXT = sa.select(sa.func.min(schedules.c.next_fire_at)).where(
    schedules.c.instance_id == table.c.id
)
_users = (  # counted once for a page, not for each of its rows
    sa.select(table.c.policy_id, sa.func.count().label("count"))
    .group_by(table.c.policy_id)
    .subquery("users")
)
_DRILLED = (
    sa.select(drills.c.verdict)
    .where(drills.c.instance_id == table.c.id)
    .order_by(drills.c.ended_at.desc())
    .limit(1)
)
_DRILLED_AT = sa.select(sa.func.max(drills.c.ended_at)).where(drills.c.instance_id == table.c.id)
_OLDEST = (
    # By the index, which min() of another column would not use.
    sa.select(recovery_points.c.committed_at)
    .where(recovery_points.c.instance_id == table.c.id, recovery_points.c.state == "Completed")
    .order_by(recovery_points.c.taken_at)
    .limit(1)
)
_HELD_SINCE = sa.select(sa.func.min(expiry_holds.c.since)).where(
    expiry_holds.c.instance_id == table.c.id
)
_HELD_WHY = (
    sa.select(expiry_holds.c.why)
    .where(expiry_holds.c.instance_id == table.c.id)
    .order_by(expiry_holds.c.since.desc())
    .limit(1)
)
_SELECT = (
    sa.select(
        table,
        policies.c.name.label("policy_name"),
        policies.c.version.label("policy_version"),
        policies.c.properties.label("policy"),
        _users.c.count.label("policy_users"),
        vaults.c.name.label("vault_name"),
        _vault_groups.c.name.label("vault_group"),
        servers.c.name.label("server_name"),
        servers.c.location.label("server_location"),
        resource_groups.c.name.label("server_group"),
        _NEXT.correlate(table).scalar_subquery().label("next_fire_at"),
        _DRILLED.correlate(table).scalar_subquery().label("drill_verdict"),
        _DRILLED_AT.correlate(table).scalar_subquery().label("drilled_at"),
        _OLDEST.correlate(table).scalar_subquery().label("oldest_point_at"),
        _HELD_SINCE.correlate(table).scalar_subquery().label("expiry_held_since"),
        _HELD_WHY.correlate(table).scalar_subquery().label("expiry_held_why"),
    )
    .join(vaults, table.c.vault_id == vaults.c.id)
    .join(_vault_groups, vaults.c.resource_group_key == _vault_groups.c.name_key)
    .join(policies, table.c.policy_id == policies.c.id)
    .join(_users, table.c.policy_id == _users.c.policy_id)
    .join(servers, table.c.server_id == servers.c.id)
    .join(resource_groups, servers.c.resource_group_key == resource_groups.c.name_key)
)


def add(connection: sa.Connection, instance: dict[str, Any]) -> None:
    """A new instance, as the columns of the table name it."""
    connection.execute(table.insert().values(**instance))


def find(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """An instance of a vault by its name, whatever its case; none that is deleted."""
    return next(iter(_of_vault(connection, vault_id, name, deleted=False)), None)


def find_deleted(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """One that is soft-deleted, by its name."""
    return next(iter(_of_vault(connection, vault_id, name, deleted=True)), None)


def list_of_vault(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The instances of a vault, by name; none that is deleted."""
    return _of_vault(connection, vault_id, None, deleted=False)


def page_of_vault(
    connection: sa.Connection, vault_id: str, after: str, most: int
) -> list[sa.RowMapping]:
    """By name, whatever its case; those behind the name `after`."""
    query = _SELECT.where(
        table.c.vault_id == vault_id,
        table.c.state != SOFT_DELETED,
        table.c.name_key > after.lower(),
    )
    query = query.order_by(table.c.name_key).limit(most)
    return list(connection.execute(query).mappings())


def properties_of_all(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Instance -> what was asked of it, its settings among that; of all that are not deleted."""
    query = sa.select(table.c.id, table.c.properties).where(table.c.state != SOFT_DELETED)
    return {row.id: row.properties for row in connection.execute(query)}


def list_deleted(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The soft-deleted instances of a vault, by name."""
    return _of_vault(connection, vault_id, None, deleted=True)


def _of_vault(
    connection: sa.Connection, vault_id: str, name: str | None, *, deleted: bool
) -> list[sa.RowMapping]:
    state = table.c.state
    wanted = state == SOFT_DELETED if deleted else state != SOFT_DELETED
    query = _SELECT.where(table.c.vault_id == vault_id, wanted).order_by(table.c.name_key)
    if name is not None:
        query = query.where(table.c.name_key == name.lower())
    return list(connection.execute(query).mappings())


def list_ids(connection: sa.Connection, vault_id: str | None = None) -> list[InstanceId]:
    """Of a vault or of every one, soft-deleted ones among them."""
    query = sa.select(table.c.id)
    if vault_id is not None:
        query = query.where(table.c.vault_id == vault_id)
    return [InstanceId(found) for found in connection.execute(query).scalars()]


def of_server(connection: sa.Connection, server_id: str) -> sa.RowMapping | None:
    """The instance that protects a server, or did until it was deleted, in whichever vault."""
    return connection.execute(_SELECT.where(table.c.server_id == server_id)).mappings().first()


def list_protected(connection: sa.Connection) -> list[sa.RowMapping]:
    """The instances of all vaults; none that is deleted."""
    return list(connection.execute(_SELECT.where(table.c.state != SOFT_DELETED)).mappings())


def change(connection: sa.Connection, instance_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == instance_id).values(**values))
