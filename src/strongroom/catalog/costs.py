"""Stored bytes, summed."""

import sqlalchemy as sa

from strongroom.catalog.recovery_points import COMPLETED, SOFT_DELETED
from strongroom.catalog.tables import recovery_points, resource_groups, vaults


def stored_by_instance(connection: sa.Connection) -> dict[str, tuple[int, int, int]]:
    """Instance -> (bytes stored, bytes as full copies, points) of all that is kept."""
    points = recovery_points
    sums = (
        sa.func.sum(points.c.stored_bytes).label("stored"),
        sa.func.sum(points.c.raw_bytes).label("as_full"),
        sa.func.count().label("count"),
    )
    kept = points.c.state.in_((COMPLETED, SOFT_DELETED))
    query = sa.select(points.c.instance_id, *sums).where(kept).group_by(points.c.instance_id)
    return {
        row.instance_id: (int(row.stored), int(row.as_full), int(row[3]))
        for row in connection.execute(query)
    }


def redundancies(connection: sa.Connection) -> dict[tuple[str, str], str]:
    """(group, vault) in lower case -> Azure's word for its redundancy."""
    query = sa.select(resource_groups.c.name_key, vaults.c.name_key, vaults.c.properties).join(
        resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key
    )
    found = {}
    for group, vault, properties in connection.execute(query):
        stores = properties.get("storageSettings") or [{}]
        found[(group, vault)] = str(stores[0].get("type") or "LocallyRedundant")
    return found


def means_by_kind(
    connection: sa.Connection, instances: list[str]
) -> dict[str, tuple[float, float]]:
    """Kind of point -> (mean bytes stored anew, mean bytes before compression), of these."""
    points = recovery_points
    stored, raw = sa.func.avg(points.c.stored_bytes), sa.func.avg(points.c.raw_bytes)
    query = sa.select(points.c.kind, stored.label("stored"), raw.label("raw"))
    query = query.where(points.c.instance_id.in_(instances), points.c.state == COMPLETED)
    found = connection.execute(query.group_by(points.c.kind))
    return {row.kind: (float(row.stored), float(row.raw)) for row in found}
