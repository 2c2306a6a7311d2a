"""What lies in storage: rows in, `Usage` out."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.points.recovery_points import COMPLETED, SOFT_DELETED
from strongroom.catalog.tables.tables import instances, recovery_points, servers
from strongroom.catalog.tables.usage_tables import point_sizes, usage
from strongroom.model.ids import InstanceId
from strongroom.model.points.usage import Share, Usage


def is_noted(connection: sa.Connection, instance_id: str, day: str) -> bool:
    """Whether an instance was measured on this day."""
    mine = sa.and_(usage.c.instance_id == instance_id, usage.c.day == day)
    return connection.execute(sa.select(usage.c.day).where(mine)).first() is not None


def not_noted(connection: sa.Connection, day: str) -> list[InstanceId]:
    """The instances that were not measured on this day."""
    noted = sa.select(usage.c.instance_id).where(usage.c.day == day)
    query = sa.select(instances.c.id).where(instances.c.id.not_in(noted))
    return [InstanceId(found) for found in connection.execute(query).scalars()]


def note(connection: sa.Connection, found: Usage, shares: Mapping[str, Share]) -> None:
    """In place of what this day said before; `shares` in place of all shares of the instance."""
    mine = sa.and_(usage.c.instance_id == found.instance_id, usage.c.day == found.day)
    connection.execute(usage.delete().where(mine))
    connection.execute(usage.insert().values(**msgspec.structs.asdict(found)))
    gone = point_sizes.c.instance_id == found.instance_id
    connection.execute(point_sizes.delete().where(gone))
    told = {"instance_id": found.instance_id}
    rows = [
        told | {"recovery_point_id": p, "unique_bytes": s.unique, "shared_bytes": s.shared}
        for p, s in shares.items()
    ]
    if rows:
        connection.execute(point_sizes.insert(), rows)


def _usages(connection: sa.Connection, query: sa.Select[Any]) -> list[Usage]:
    return [Usage(**row) for row in connection.execute(query).mappings()]


def newest(connection: sa.Connection) -> dict[str, Usage]:
    """Instance -> as it was last measured."""
    last = sa.select(usage.c.instance_id, sa.func.max(usage.c.day).label("day"))
    last_of = last.group_by(usage.c.instance_id).subquery()
    same = sa.and_(usage.c.instance_id == last_of.c.instance_id, usage.c.day == last_of.c.day)
    return {u.instance_id: u for u in _usages(connection, sa.select(usage).join(last_of, same))}


def since(connection: sa.Connection, day: str) -> dict[str, list[Usage]]:
    """Instance -> its days from this one on, the oldest first."""
    query = sa.select(usage).where(usage.c.day >= day).order_by(usage.c.day)
    found: dict[str, list[Usage]] = {}
    for each in _usages(connection, query):
        found.setdefault(each.instance_id, []).append(each)
    return found


def days_of(connection: sa.Connection, instance_id: str) -> list[Usage]:
    """All that are known of one instance, the oldest first."""
    mine = sa.select(usage).where(usage.c.instance_id == instance_id)
    return _usages(connection, mine.order_by(usage.c.day))


def forget(connection: sa.Connection, before: str) -> None:
    """Days before this one."""
    connection.execute(usage.delete().where(usage.c.day < before))


def share_of(connection: sa.Connection, point_id: str) -> Share | None:
    """Of a point; None until it was counted."""
    query = sa.select(point_sizes).where(point_sizes.c.recovery_point_id == point_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else Share(row["unique_bytes"], row["shared_bytes"])


def stored_later(connection: sa.Connection) -> dict[str, tuple[int, int, int]]:
    """Instance -> (stored anew, as full copies, points) of the points that were not counted yet.

    Those that were committed after the last count: a count sees every receipt that is there.
    """
    points = recovery_points
    whole = sa.func.coalesce(points.c.facts["restore_bytes"].as_float(), points.c.stored_bytes)
    sums = (
        sa.func.sum(points.c.stored_bytes).label("stored"),
        sa.func.sum(whole).label("full"),
        sa.func.count().label("count"),
    )
    counted = sa.select(point_sizes.c.recovery_point_id)
    counted = counted.where(point_sizes.c.recovery_point_id == points.c.id)
    query = sa.select(points.c.instance_id, *sums).where(
        points.c.state.in_((COMPLETED, SOFT_DELETED)), ~sa.exists(counted)
    )
    return {
        row.instance_id: (int(row.stored), int(row.full), int(row[3]))
        for row in connection.execute(query.group_by(points.c.instance_id))
    }


def server_bytes(connection: sa.Connection, instance_id: str) -> int:
    """How large the server is by what its agent said last; 0: it said nothing."""
    size = servers.c.facts["sizeBytes"].as_float()
    query = sa.select(size).join(instances, instances.c.server_id == servers.c.id)
    found = connection.execute(query.where(instances.c.id == instance_id)).scalar()
    return int(found or 0)


def largest_whole(connection: sa.Connection) -> int:
    """Stored bytes that the largest of the newest points needs: what a full backup takes."""
    whole = sa.func.coalesce(
        recovery_points.c.facts["restore_bytes"].as_float(), recovery_points.c.stored_bytes
    )
    newest = sa.select(
        recovery_points.c.instance_id, sa.func.max(recovery_points.c.taken_at).label("at")
    )
    newest_of = newest.where(recovery_points.c.state == COMPLETED)
    last = newest_of.group_by(recovery_points.c.instance_id).subquery()
    same = sa.and_(
        recovery_points.c.instance_id == last.c.instance_id,
        recovery_points.c.taken_at == last.c.at,
    )
    found = connection.execute(
        sa.select(sa.func.max(whole)).select_from(recovery_points).join(last, same)
    ).scalar()
    return int(found or 0)
