"""Legal holds: of a recovery point, or of an instance with all that it has and will have.

setting    asked for, and not yet in storage's own book
held       in storage's own book
releasing  on its way out of it

In each of the three it holds: nothing that a row names ends by age, is deleted or is purged.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.keeping_tables import holds as table
from strongroom.model.ids import InstanceId
from strongroom.model.points.hold import RELEASING


def add(connection: sa.Connection, hold: dict[str, Any]) -> None:
    """A new one, as the columns of the table name it."""
    connection.execute(table.insert().values(**hold))


def find(connection: sa.Connection, instance_id: str, name: str) -> sa.RowMapping | None:
    """A hold by its name, whatever its case."""
    query = sa.select(table).where(
        table.c.instance_id == instance_id, table.c.name_key == name.lower()
    )
    return connection.execute(query).mappings().first()


def get(connection: sa.Connection, hold_id: str) -> sa.RowMapping | None:
    """A hold by its id; None when it is gone."""
    return connection.execute(sa.select(table).where(table.c.id == hold_id)).mappings().first()


def list_of_instance(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """All of an instance and its points, by name."""
    query = sa.select(table).where(table.c.instance_id == instance_id)
    return list(connection.execute(query.order_by(table.c.name_key)).mappings())


def instances_releasing(connection: sa.Connection) -> list[InstanceId]:
    """Those of which a hold, on them or on a point, is on its way out of storage's book."""
    query = sa.select(table.c.instance_id).where(table.c.state == RELEASING).distinct()
    return [InstanceId(found) for found in connection.execute(query).scalars()]


def names_on(
    connection: sa.Connection, instance_id: str, points: Collection[str]
) -> dict[str, list[str]]:
    """Point -> the holds that keep it, its own and the instance's; those that any keeps."""
    rows = list_of_instance(connection, instance_id)
    found = {p: [r["name"] for r in rows if r["point_id"] in {None, p}] for p in points}
    return {point: names for point, names in found.items() if names}


def change(connection: sa.Connection, hold_id: str, **values: Any) -> None:  # noqa: ANN401
    """New values of state or names."""
    connection.execute(table.update().where(table.c.id == hold_id).values(**values))


def remove(connection: sa.Connection, hold_id: str) -> None:
    """It holds nothing any more."""
    connection.execute(table.delete().where(table.c.id == hold_id))


def of_instances(connection: sa.Connection, instances: Collection[str]) -> dict[str, list[str]]:
    """Instance -> the names of its holds, its points' among them; those that have any."""
    query = sa.select(table.c.instance_id, table.c.name).where(
        table.c.instance_id.in_(list(instances))
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(query.order_by(table.c.name_key)):
        found.setdefault(row.instance_id, []).append(row.name)
    return found
