"""Recovery points: rows in, `RecoveryPoint` out.

Completed    whole in storage: what is listed, restored and leant on
SoftDeleted  somebody deleted it; it is whole, and can be had back until it is purged
Purging      that time is over: its receipt goes, and its manifest after it
Expired      over by age: nobody sees it any more, its manifest is still to go
Deleted      its manifest is gone; the row stays for tags and audit
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import policies, recovery_points
from strongroom.model.errors import NotFound
from strongroom.model.ids import InstanceId
from strongroom.model.page import Mark
from strongroom.model.points.recovery_point import RecoveryPoint, Shelf

COMPLETED, EXPIRED, DELETED = "Completed", "Expired", "Deleted"
SOFT_DELETED, PURGING = "SoftDeleted", "Purging"
# A point outlives its policy.
_SELECT = sa.select(
    recovery_points, sa.func.coalesce(policies.c.name, "").label("policy_name")
).join(policies, recovery_points.c.policy_id == policies.c.id, isouter=True)
_tag = sa.func.coalesce(sa.func.nullif(recovery_points.c.tag, ""), "Default")
_OUTLINE = ("system_identifier", "timeline", "stop_lsn", "damaged")
_NAMED = _SELECT.where(
    recovery_points.c.instance_id == sa.bindparam("instance"),
    recovery_points.c.id == sa.bindparam("point"),
    recovery_points.c.state == sa.bindparam("wanted"),
)


def _point(row: sa.RowMapping) -> RecoveryPoint:
    return RecoveryPoint(**{name: row[name] for name in RecoveryPoint.__struct_fields__})


def add(connection: sa.Connection, point: RecoveryPoint) -> None:
    """Record a committed point. Twice is once: the receipt in storage is the commit, not this."""
    known = connection.execute(
        sa.select(recovery_points.c.id).where(recovery_points.c.id == point.id)
    ).scalar()
    if known is None:
        values = msgspec.structs.asdict(point)
        del values["policy_name"]
        connection.execute(recovery_points.insert().values(**values))


def get(
    connection: sa.Connection, instance_id: InstanceId, point_id: str, state: str = COMPLETED
) -> RecoveryPoint:
    """One point of an instance; NotFound when it has none of that id in that state."""
    names = {"instance": instance_id, "point": point_id.lower(), "wanted": state}
    found = connection.execute(_NAMED, names).mappings().first()
    if found is None:
        raise NotFound(
            f"there is no recovery point {point_id[:64]}",
            hint="list the points of this server with: strongroom points NAME",
        )
    return _point(found)


def list_of_instance(
    connection: sa.Connection, instance_id: InstanceId, *states: str
) -> list[RecoveryPoint]:
    """Those that can be restored, or those in these states; newest first."""
    query = _SELECT.where(
        recovery_points.c.instance_id == instance_id,
        recovery_points.c.state.in_(states or (COMPLETED,)),
    )
    rows = connection.execute(query.order_by(recovery_points.c.taken_at.desc())).mappings()
    return [_point(row) for row in rows]


def outline_of_instance(connection: sa.Connection, instance_id: InstanceId) -> list[RecoveryPoint]:
    """Those that can be restored, newest first; of their facts a few.

    What lies in a point, down to its tables, is most of what a row is: of thousands that is much.
    """
    facts = [recovery_points.c.facts[name].as_string().label(f"of_{name}") for name in _OUTLINE]
    query = sa.select(
        *(each for each in recovery_points.c if each.name != "facts"),
        sa.func.coalesce(policies.c.name, "").label("policy_name"),
        *facts,
    ).join(policies, recovery_points.c.policy_id == policies.c.id, isouter=True)
    query = query.where(
        recovery_points.c.instance_id == instance_id, recovery_points.c.state == COMPLETED
    )
    rows = connection.execute(query.order_by(recovery_points.c.taken_at.desc())).mappings()
    names = [each for each in RecoveryPoint.__struct_fields__ if each != "facts"]
    return [
        RecoveryPoint(
            **{name: row[name] for name in names},
            facts={name: row[f"of_{name}"] for name in _OUTLINE},
        )
        for row in rows
    ]


def page_of_instance(
    connection: sa.Connection,
    instance_id: InstanceId,
    after: Mark | None,
    most: int,
    between: tuple[Instant | None, Instant | None] = (None, None),
) -> list[RecoveryPoint]:
    """Those that can be restored and were taken `between`, newest first, those behind `after`."""
    taken = recovery_points.c.taken_at
    query = _SELECT.where(
        recovery_points.c.instance_id == instance_id, recovery_points.c.state == COMPLETED
    )
    first, last = between
    if first is not None:
        query = query.where(taken >= first)
    if last is not None:
        query = query.where(taken <= last)
    if after is not None:
        at_once = sa.and_(taken == after.at, recovery_points.c.id < after.id)
        query = query.where(taken <= after.at, sa.or_(taken < after.at, at_once))
    query = query.order_by(taken.desc(), recovery_points.c.id.desc()).limit(most)
    return [_point(row) for row in connection.execute(query).mappings()]


def shelves_of(connection: sa.Connection, instance_id: InstanceId) -> list[tuple[str, str, int]]:
    """(tag, kind, how many there are) of those that can be restored."""
    tag, kind = _tag.label("tag"), recovery_points.c.kind
    query = (
        sa.select(tag, kind, sa.func.count())
        .where(recovery_points.c.instance_id == instance_id, recovery_points.c.state == COMPLETED)
        .group_by(tag, kind)
    )
    return sorted((row[0], row[1], row[2]) for row in connection.execute(query))


def look_through(
    connection: sa.Connection, instance_id: InstanceId, shelf: Shelf, skip: int, most: int
) -> tuple[list[RecoveryPoint], int]:
    """A page of those of a shelf that can be restored, newest first; and how many they are."""
    here = [recovery_points.c.instance_id == instance_id, recovery_points.c.state == COMPLETED]
    here += [_tag == shelf.tag] if shelf.tag else []
    here += [recovery_points.c.kind == shelf.kind] if shelf.kind else []
    here += [recovery_points.c.taken_at < shelf.until] if shelf.until is not None else []
    count = sa.select(sa.func.count()).select_from(recovery_points).where(*here)
    newest = (recovery_points.c.taken_at.desc(), recovery_points.c.id.desc())
    query = _SELECT.where(*here).order_by(*newest).offset(skip).limit(most)
    found = [_point(row) for row in connection.execute(query).mappings()]
    return found, connection.execute(count).scalar_one()


def taken_since(
    connection: sa.Connection, instance_id: InstanceId, since: Instant
) -> list[tuple[Instant, int]]:
    """(when, bytes stored anew) of every point since then, ended or not."""
    columns = sa.select(recovery_points.c.taken_at, recovery_points.c.stored_bytes)
    query = columns.where(
        recovery_points.c.instance_id == instance_id, recovery_points.c.taken_at >= since
    )
    return [(row.taken_at, row.stored_bytes) for row in connection.execute(query)]


def list_ending(connection: sa.Connection, after: Instant, until: Instant) -> list[RecoveryPoint]:
    """Those of all instances that end between these, oldest end first."""
    ends = recovery_points.c.expires_at
    query = _SELECT.where(recovery_points.c.state == COMPLETED, ends > after, ends <= until)
    rows = connection.execute(query.order_by(ends, recovery_points.c.id)).mappings()
    return [_point(row) for row in rows]


def instance_of(connection: sa.Connection, point_id: str) -> InstanceId:
    """The instance of a point that is known."""
    query = sa.select(recovery_points.c.instance_id).where(recovery_points.c.id == point_id)
    return InstanceId(connection.execute(query).scalar_one())


def ids_of_instance(connection: sa.Connection, instance_id: str) -> set[str]:
    """Every point that is or was known of an instance."""
    query = sa.select(recovery_points.c.id).where(recovery_points.c.instance_id == instance_id)
    return set(connection.execute(query).scalars())


def list_expired(connection: sa.Connection, instance_id: str) -> list[str]:
    """Ids of points that are over, and whose manifests are still to go."""
    query = sa.select(recovery_points.c.id).where(
        recovery_points.c.instance_id == instance_id, recovery_points.c.state == EXPIRED
    )
    return list(connection.execute(query.order_by(recovery_points.c.id)).scalars())


def set_state(connection: sa.Connection, point_id: str, state: str) -> None:
    """One of those above."""
    query = recovery_points.update().where(recovery_points.c.id == point_id)
    connection.execute(query.values(state=state))


def set_end(connection: sa.Connection, point: RecoveryPoint, ends: Instant) -> None:
    """When it ends from now on. Sooner than its receipt says: then its receipt must go with it."""
    query = recovery_points.update().where(recovery_points.c.id == point.id)
    connection.execute(query.values(expires_at=ends))
    promised = point.facts.get("promised") or point.expires_at.format_iso()
    note_facts(connection, point.id, {"promised": promised})


def set_tag(connection: sa.Connection, point_id: str, tag: str) -> None:
    """The tag that it has from now on."""
    query = recovery_points.update().where(recovery_points.c.id == point_id)
    connection.execute(query.values(tag=tag))


def ends_early(connection: sa.Connection, point_id: str) -> bool:
    """Whether it was told to end before the time that its receipt states."""
    query = sa.select(recovery_points.c.expires_at, recovery_points.c.facts)
    row = connection.execute(query.where(recovery_points.c.id == point_id)).one()
    promised = row.facts.get("promised")
    return promised is not None and row.expires_at < Instant.parse_iso(promised)


def facts_of(connection: sa.Connection, point_id: str) -> dict[str, Any]:
    """The facts of a point; none of one that is not known."""
    query = sa.select(recovery_points.c.facts).where(recovery_points.c.id == point_id)
    return dict(connection.execute(query).scalar() or {})


def note_facts(connection: sa.Connection, point_id: str, facts: Mapping[str, Any]) -> None:
    """Lay these over the point's facts; None takes one away."""
    query = sa.select(recovery_points.c.facts).where(recovery_points.c.id == point_id)
    before = connection.execute(query).scalar()
    if before is not None:
        told = {name: value for name, value in {**before, **facts}.items() if value is not None}
        connection.execute(
            recovery_points.update().where(recovery_points.c.id == point_id).values(facts=told)
        )


def newest_of_each_tag(
    connection: sa.Connection, instance_id: InstanceId, until: Instant
) -> list[tuple[Instant, str]]:
    """(taken at, tag) of the last point of each tag, ended or not: what tagging looks back on.

    Not of points that look wrong: they use no period up.
    """
    strange = recovery_points.c.facts["anomalies"].as_string()
    newest = sa.func.max(recovery_points.c.taken_at).label("taken_at")
    query = sa.select(newest, recovery_points.c.tag).where(
        recovery_points.c.instance_id == instance_id,
        recovery_points.c.taken_at <= until,
        strange.is_(None),
    )
    rows = connection.execute(query.group_by(recovery_points.c.tag))
    return [(row.taken_at, row.tag) for row in rows]


def _has_ended(now: Instant) -> sa.ColumnElement[bool]:
    over = sa.and_(recovery_points.c.state == COMPLETED, recovery_points.c.expires_at <= now)
    return sa.or_(over, recovery_points.c.state == EXPIRED)


def has_ended(connection: sa.Connection, instance_id: InstanceId, now: Instant) -> bool:
    """Whether any of its points is over, or was and is still to go."""
    query = sa.select(recovery_points.c.id).where(
        recovery_points.c.instance_id == instance_id, _has_ended(now)
    )
    return connection.execute(query.limit(1)).first() is not None


def instances_with_ended(connection: sa.Connection, now: Instant) -> list[InstanceId]:
    """Those of which any point is, asked of all at once."""
    query = sa.select(recovery_points.c.instance_id).where(_has_ended(now)).distinct()
    return [InstanceId(found) for found in connection.execute(query).scalars()]
