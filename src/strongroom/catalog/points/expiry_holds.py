"""What holds the expiry of an instance: a point that looks wrong, a drill that failed.

The elders of the point that a row names do not expire while the row is there.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.keeping_tables import expiry_holds as table
from strongroom.catalog.tables.tables import recovery_points

ANOMALY, DRILL = "anomaly", "drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryHold:
    """Why expiry is held, since when, and before which point."""

    recovery_point_id: str
    taken_at: Instant  # of the point
    kind: str  # anomaly | drill
    why: str
    since: Instant


def add(
    connection: sa.Connection, instance_id: str, point_id: str, what: tuple[str, str], at: Instant
) -> bool:
    """Hold for `what` = (kind, why); False when the point holds for this kind already."""
    kind, why = what
    key = {"instance_id": instance_id, "recovery_point_id": point_id, "kind": kind}
    known = sa.select(table.c.kind).filter_by(**key)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(table.insert().values(**key, why=why, since=at))
    return True


def list_of_instance(connection: sa.Connection, instance_id: str) -> list[ExpiryHold]:
    """All of them; that of the newest point first."""
    query = (
        sa.select(table, recovery_points.c.taken_at)
        .join(recovery_points, recovery_points.c.id == table.c.recovery_point_id)
        .where(table.c.instance_id == instance_id)
        .order_by(recovery_points.c.taken_at.desc(), table.c.kind)
    )
    names = ("recovery_point_id", "taken_at", "kind", "why", "since")
    rows = connection.execute(query).mappings()
    return [ExpiryHold(**{name: row[name] for name in names}) for row in rows]


def release(connection: sa.Connection, instance_id: str, hold: ExpiryHold) -> None:
    """This one holds nothing any more."""
    connection.execute(
        table.delete().where(
            table.c.instance_id == instance_id,
            table.c.recovery_point_id == hold.recovery_point_id,
            table.c.kind == hold.kind,
        )
    )
