"""Backup policies and their versions. `properties` is ARM's JSON text, kept as it came.

Versions stay, also when their policy goes: points name the one that they were tagged by.
"""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import instances, policy_versions, resource_groups, vaults
from strongroom.catalog.tables.tables import policies as table

# With the names of the vault and its group, as they were given.
_SELECT = (
    sa.select(
        table, vaults.c.name.label("vault_name"), resource_groups.c.name.label("vault_group")
    )
    .join(vaults, table.c.vault_id == vaults.c.id)
    .join(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
)


def add(connection: sa.Connection, policy: dict[str, Any], by: str = "") -> None:
    """A new policy, as the columns of the table name it, in its first version."""
    connection.execute(table.insert().values(**policy))
    _add_version(connection, policy["id"], policy["created_at"], by)


def change(connection: sa.Connection, policy_id: str, text: str, at: Instant, by: str) -> None:
    """Its next version, which says this."""
    following = table.update().where(table.c.id == policy_id)
    connection.execute(following.values(properties=text, version=table.c.version + 1))
    _add_version(connection, policy_id, at, by)


def _add_version(connection: sa.Connection, policy_id: str, at: Instant, by: str) -> None:
    same = ("version", "name", "properties")
    query = sa.select(*(table.c[name] for name in same)).where(table.c.id == policy_id)
    values = dict(connection.execute(query).mappings().one())
    made = policy_versions.insert().values(
        policy_id=policy_id, created_at=at, created_by=by, **values
    )
    connection.execute(made)


def versions(connection: sa.Connection, policy_id: str) -> list[sa.RowMapping]:
    """Every version that there has been, the newest first."""
    query = sa.select(policy_versions).where(policy_versions.c.policy_id == policy_id)
    return list(connection.execute(query.order_by(policy_versions.c.version.desc())).mappings())


def find(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """A policy of a vault by its name, whatever its case."""
    query = _SELECT.where(table.c.vault_id == vault_id, table.c.name_key == name.lower())
    return connection.execute(query).mappings().first()


def list_of_vault(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The policies of a vault, by name."""
    query = _SELECT.where(table.c.vault_id == vault_id).order_by(table.c.name_key)
    return list(connection.execute(query).mappings())


def users(connection: sa.Connection, policy_id: str) -> list[sa.RowMapping]:
    """(id, name, state) of the instances that a policy protects."""
    query = sa.select(instances.c.id, instances.c.name, instances.c.state)
    found = query.where(instances.c.policy_id == policy_id).order_by(instances.c.name_key)
    return list(connection.execute(found).mappings())


def remove(connection: sa.Connection, policy_id: str) -> None:
    """A policy that nobody uses goes; its versions stay."""
    connection.execute(table.delete().where(table.c.id == policy_id))
