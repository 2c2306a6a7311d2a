"""What costs are made of: redundancy, when protection began, and what each backup has put."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points.recovery_points import COMPLETED, SOFT_DELETED
from strongroom.catalog.tables.tables import instances, recovery_points, resource_groups, vaults
from strongroom.model.oversight.forecast import Taken
from strongroom.model.protection.policy import DEFAULT_TAG
from strongroom.model.work.logical import LOGICAL


def began(connection: sa.Connection) -> dict[str, Instant]:
    """Instance -> since when it is protected."""
    query = sa.select(instances.c.id, instances.c.created_at)
    return {row.id: row.created_at for row in connection.execute(query)}


def redundancies(connection: sa.Connection) -> dict[tuple[str, str], str]:
    """(group, vault) in lower case -> Azure's word for its redundancy."""
    query = sa.select(resource_groups.c.name_key, vaults.c.name_key, vaults.c.properties).join(
        resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key
    )
    rows = connection.execute(query)
    return {(group, vault): redundancy_of(properties) for group, vault, properties in rows}


def redundancy_of(properties: Mapping[str, Any]) -> str:
    """Of a vault: Azure's word for it."""
    stores = properties.get("storageSettings") or [{}]
    return str(stores[0].get("type") or "LocallyRedundant")


def taken_by(
    connection: sa.Connection, those: list[str], since: Instant
) -> dict[str, list[Taken]]:
    """Instance -> points since then, ended or not, and all that are kept, the oldest first.

    Dumps are one chain.
    """
    points = recovery_points
    whole = sa.func.coalesce(points.c.facts["restore_bytes"].as_float(), points.c.stored_bytes)
    query = sa.select(
        points.c.instance_id,
        points.c.taken_at,
        points.c.expires_at,
        points.c.state,
        points.c.kind,
        points.c.generation,
        points.c.stored_bytes,
        points.c.raw_bytes,
        points.c.tag,
        whole.label("whole"),
    ).where(
        points.c.instance_id.in_(those),
        sa.or_(points.c.taken_at >= since, points.c.state.in_((COMPLETED, SOFT_DELETED))),
    )
    found: dict[str, list[Taken]] = {}
    for row in connection.execute(query.order_by(points.c.taken_at)):
        mine = found.setdefault(row.instance_id, [])
        chain = row.generation if row.kind != LOGICAL else LOGICAL
        is_full = row.kind == "Full" or (row.kind == LOGICAL and not mine)
        sizes = (row.stored_bytes, int(row.whole), row.raw_bytes)
        is_kept = row.state in {COMPLETED, SOFT_DELETED}
        told = (row.taken_at, row.expires_at, is_kept, chain, is_full)
        mine.append(Taken(*told, *sizes, tag=row.tag or DEFAULT_TAG))
    return found
