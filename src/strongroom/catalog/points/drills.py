"""Drills that came to a verdict: rows in, `Drill` out."""

from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import drills as table
from strongroom.catalog.tables.tables import jobs
from strongroom.model.errors import NotFound
from strongroom.model.points.drill_turns import Attempt
from strongroom.model.work.drill import Drill
from strongroom.model.work.job import JobKind

_LOOKED_BACK = 100  # drills, of which each turn has had its own
_LOOKED_BACK_OF_ALL = 5000


def add(connection: sa.Connection, drill: Drill) -> bool:
    """Record it; False when it is recorded already."""
    known = sa.select(table.c.id).where(table.c.id == drill.id)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(table.insert().values(**msgspec.structs.asdict(drill)))
    return True


def list_of_instance(connection: sa.Connection, instance_id: str, most: int = 100) -> list[Drill]:
    """The newest first."""
    query = sa.select(table).where(table.c.instance_id == instance_id)
    rows = connection.execute(query.order_by(table.c.ended_at.desc()).limit(most)).mappings()
    return [Drill(**row) for row in rows]


def last_of_points(connection: sa.Connection, instance_id: str) -> dict[str, Instant]:
    """Point -> when it was last drilled; of those that were."""
    query = sa.select(table.c.recovery_point_id, sa.func.max(table.c.ended_at).label("at"))
    rows = connection.execute(
        query.where(table.c.instance_id == instance_id).group_by(table.c.recovery_point_id)
    )
    return {row.recovery_point_id: row.at for row in rows}


def last_of_point(connection: sa.Connection, point_id: str) -> Drill | None:
    """The last that came to a verdict on a point; None where none did."""
    query = sa.select(table).where(table.c.recovery_point_id == point_id)
    last = connection.execute(query.order_by(table.c.ended_at.desc()).limit(1)).mappings().first()
    return Drill(**last) if last is not None else None


def newest(connection: sa.Connection, most: int) -> list[Drill]:
    """Of all instances, the newest first."""
    query = sa.select(table).order_by(table.c.ended_at.desc()).limit(most)
    return [Drill(**row) for row in connection.execute(query).mappings()]


def get(connection: sa.Connection, drill_id: str) -> Drill:
    """One of them. Raises NotFound."""
    row = connection.execute(sa.select(table).where(table.c.id == drill_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no drill {drill_id[:64]}")
    return Drill(**row)


_ATTEMPTS = (
    sa.select(jobs.c.instance_id, jobs.c.started_at, jobs.c.order, table.c.id.label("decided"))
    .join(table, table.c.id == jobs.c.id, isouter=True)
    .where(jobs.c.kind == JobKind.DRILL.value)
    .order_by(jobs.c.started_at.desc())
)


def last_attempts(connection: sa.Connection, instance_id: str) -> dict[str, Attempt]:
    """Turn -> the last drill that a policy has asked for, come to a verdict or not."""
    query = _ATTEMPTS.where(jobs.c.instance_id == instance_id).limit(_LOOKED_BACK)
    return _attempts(connection, query).get(instance_id, {})


def attempts_of_all(connection: sa.Connection) -> dict[str, dict[str, Attempt]]:
    """Instance -> the same of it; of those that were drilled lately."""
    return _attempts(connection, _ATTEMPTS.limit(_LOOKED_BACK_OF_ALL))


def _attempts(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, dict[str, Attempt]]:
    found: dict[str, dict[str, Attempt]] = {}
    for row in connection.execute(query).mappings():
        attempt = Attempt(row["started_at"], row["decided"] is not None)
        found.setdefault(row["instance_id"], {}).setdefault(row["order"].get("turn", ""), attempt)
    return found
