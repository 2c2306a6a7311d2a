"""Backup policies. `properties` is ARM's JSON text, kept as it came."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables import instances
from strongroom.catalog.tables import policies as table


def add(connection: sa.Connection, policy: dict[str, Any]) -> None:
    """A new policy, as the columns of the table name it."""
    connection.execute(table.insert().values(**policy))


def find(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping | None:
    """A policy of a vault by its name, whatever its case."""
    query = sa.select(table).where(table.c.vault_id == vault_id, table.c.name_key == name.lower())
    return connection.execute(query).mappings().first()


def list_of_vault(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """The policies of a vault, by name."""
    query = sa.select(table).where(table.c.vault_id == vault_id).order_by(table.c.name_key)
    return list(connection.execute(query).mappings())


def change(connection: sa.Connection, policy_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of some columns."""
    connection.execute(table.update().where(table.c.id == policy_id).values(**values))


def users(connection: sa.Connection, policy_id: str) -> list[sa.RowMapping]:
    """(id, name, state) of the instances that a policy protects."""
    query = sa.select(instances.c.id, instances.c.name, instances.c.state)
    found = query.where(instances.c.policy_id == policy_id).order_by(instances.c.name_key)
    return list(connection.execute(found).mappings())


def remove(connection: sa.Connection, policy_id: str) -> None:
    """A policy that nobody uses goes."""
    connection.execute(table.delete().where(table.c.id == policy_id))
