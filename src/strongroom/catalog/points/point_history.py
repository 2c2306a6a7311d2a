"""What was measured of an instance's points, and which of them are trusted.

A point's fact `anomalies` says what is strange about it. When it is accepted the words move to
`accepted`, and from then on it counts as any other. One that was accepted for itself has a fact
`promotion`, the reason, until its tag is decided anew; then `promoted` says what became of it.
"""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points.recovery_points import COMPLETED, facts_of, note_facts
from strongroom.catalog.tables.tables import recovery_points as table
from strongroom.model.ids import InstanceId
from strongroom.model.oversight.anomaly import MOST_HISTORY, Sample

_LOOKED_BACK = 4 * MOST_HISTORY


def is_trusted() -> sa.ColumnElement[bool]:
    """Nothing is strange about it, or it was accepted all the same."""
    strange: sa.ColumnElement[str | None] = table.c.facts["anomalies"].as_string()
    return strange.is_(None)


def trusted_samples(connection: sa.Connection, instance_id: str, before: Instant) -> list[Sample]:
    """Of the points taken before then, the oldest first."""
    query = sa.select(table.c.kind, table.c.raw_bytes, table.c.stored_bytes, table.c.facts).where(
        table.c.instance_id == instance_id, table.c.taken_at < before, is_trusted()
    )
    rows = connection.execute(query.order_by(table.c.taken_at.desc()).limit(_LOOKED_BACK))
    found = [
        Sample(
            kind=row.kind,
            raw_bytes=row.raw_bytes,
            read_bytes=int(row.facts.get("read_bytes", 0)),
            stored_bytes=row.stored_bytes,
            system_identifier=str(row.facts.get("system_identifier", "")),
            damaged_pages=row.facts.get("damaged_pages", {}),
        )
        for row in rows
    ]
    return found[::-1]


def count_within(connection: sa.Connection, instance_id: str, start: Instant, end: Instant) -> int:
    """How many points were taken from `start` on and before `end`."""
    query = sa.select(sa.func.count()).where(
        table.c.instance_id == instance_id, table.c.taken_at >= start, table.c.taken_at < end
    )
    return int(connection.execute(query).scalar_one())


def accept_until(connection: sa.Connection, instance_id: str, taken_at: Instant) -> list[str]:
    """Trust every point taken by then; those of which that is new, the oldest first."""
    query = sa.select(table.c.id, table.c.facts).where(
        table.c.instance_id == instance_id, table.c.taken_at <= taken_at, ~is_trusted()
    )
    rows = connection.execute(query.order_by(table.c.taken_at)).all()
    for row in rows:
        changed = {"anomalies": None, "accepted": row.facts["anomalies"]}
        note_facts(connection, row.id, changed)
    return [row.id for row in rows]


def ask_promotion(connection: sa.Connection, point_id: str, why: str) -> None:
    """A point that looked wrong, and was accepted, shall get the tag it would have got. Once."""
    facts = facts_of(connection, point_id)
    if "accepted" in facts and "promoted" not in facts:
        note_facts(connection, point_id, {"promotion": why})


_AWAITING = sa.and_(
    table.c.state == COMPLETED, table.c.facts["promotion"].as_string().is_not(None)
)


def awaiting_promotion(connection: sa.Connection, instance_id: str) -> list[str]:
    """Ids of the points whose tags are to be decided anew, the oldest first."""
    query = sa.select(table.c.id).where(table.c.instance_id == instance_id, _AWAITING)
    return list(connection.execute(query.order_by(table.c.taken_at)).scalars())


def instances_awaiting_promotion(connection: sa.Connection) -> list[InstanceId]:
    """Those that have any such point, asked of all at once."""
    query = sa.select(table.c.instance_id).where(_AWAITING).distinct()
    return [InstanceId(found) for found in connection.execute(query).scalars()]
