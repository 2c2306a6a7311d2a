"""The write-ahead log that is kept: packs by place, histories, gaps, and how the stream stands."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.wal_tables import wal_gaps as gaps
from strongroom.catalog.tables.wal_tables import wal_histories as histories
from strongroom.catalog.tables.wal_tables import wal_names as names
from strongroom.catalog.tables.wal_tables import wal_packs as packs
from strongroom.catalog.tables.wal_tables import wal_streams as streams
from strongroom.model.wal import (
    RestorePoint,
    Summary,
    WalHistory,
    WalMissing,
    WalPack,
    WalReport,
    WalTail,
)

_AT_ONCE = 500


def stream_of(connection: sa.Connection, instance_id: str) -> sa.RowMapping | None:
    """How the stream of an instance stands; None when it never had one."""
    query = sa.select(streams).where(streams.c.instance_id == instance_id)
    return connection.execute(query).mappings().first()


def tail_of(row: sa.RowMapping | None) -> WalTail:
    """What the server of a stream must have before its end; empty where it is not known."""
    told = None if row is None else row["facts"].get("tail")
    if row is None or not told:
        return WalTail()
    return WalTail(
        system_identifier=row["system_identifier"],
        timeline=row["timeline"],
        start=row["facts"]["tailStart"],
        end=row["end_lsn"],
        digest=bytes.fromhex(told),
    )


def unended_of(row: sa.RowMapping) -> dict[int, dict[str, int]]:
    """What transactions that had not ended by its end had deleted: model.wal.WalPack."""
    told = row["facts"].get("unended", {})
    return {int(xid): rows for xid, rows in told.items()}


def segment_size_of(row: sa.RowMapping, system: str) -> int:
    """Of one of the systems that a stream has kept log of: an upgrade may change it."""
    sizes: dict[str, int] = row["facts"].get("segmentSizes", {})
    return sizes.get(system) or int(row["segment_size"])


def set_stream(connection: sa.Connection, instance_id: str, **values: Any) -> None:  # noqa: ANN401
    """Some columns; the row is made when there is none."""
    if stream_of(connection, instance_id) is None:
        row = {"system_identifier": "", "timeline": 0, "end_lsn": 0, "segment_size": 0}
        row |= {"kept_at": values["told_at"], "facts": {}, **values}
        connection.execute(streams.insert().values(instance_id=instance_id, **row))
        return
    connection.execute(
        streams.update().where(streams.c.instance_id == instance_id).values(**values)
    )


def promise_timeline(connection: sa.Connection, instance_id: str, least: int, now: Instant) -> int:
    """The number of a timeline, at least that, that was promised to no other restore."""
    found = stream_of(connection, instance_id)
    facts = {} if found is None else dict(found["facts"])
    number = max(least, int(facts.get("promised", 0)) + 1)
    told_at = now if found is None else found["told_at"]
    set_stream(connection, instance_id, told_at=told_at, facts={**facts, "promised": number})
    return number


def note_stream(
    connection: sa.Connection, instance_id: str, report: WalReport, now: Instant
) -> None:
    """How an agent says that its stream stands; it is level when nothing is left to put."""
    found = stream_of(connection, instance_id)
    end = 0 if found is None else found["end_lsn"]
    facts = {} if found is None else dict(found["facts"])
    facts |= {"state": report.state, "why": report.why}
    values: dict[str, Any] = {"told_at": now, "facts": facts}
    if report.system_identifier:
        facts |= {"slot": report.slot, "serverLsn": report.server_lsn}
        facts |= {"serverTimeline": report.timeline, "versionNumber": report.version_number}
        values["segment_size"] = report.segment_size
        if report.server_lsn <= end:
            values["kept_at"] = now
    set_stream(connection, instance_id, **values)


def add_packs(
    connection: sa.Connection,
    instance_id: str,
    system: str,
    new: Iterable[WalPack],
    times: tuple[Instant, Instant],
) -> None:
    """What storage holds from now on, until when; a name that is known is left as it is."""
    for pack in new:
        known = sa.select(packs.c.name).where(
            packs.c.instance_id == instance_id, packs.c.name == pack.name
        )
        if connection.execute(known).first() is not None:
            continue
        told = pack.summary
        row = {
            "instance_id": instance_id,
            "name": pack.name,
            "system_identifier": system,
            "timeline": pack.timeline,
            "start_lsn": pack.start,
            "end_lsn": pack.end,
            "size": pack.size,
            "blake3": pack.blake3,
            "committed_at": times[0],
            "keep_until": times[1],
            "commits": told.commits,
            "first_at": told.first_at,
            "last_at": told.last_at,
            "last_lsn": told.last_lsn,
            "least_xid": told.least_xid,
            "most_xid": told.most_xid,
            "seconds": msgspec.to_builtins(told.seconds),
            "ended": msgspec.to_builtins(told.ended),
            "parts": msgspec.to_builtins(told.parts),
            "going": False,
        }
        connection.execute(packs.insert().values(**row))
        if told.minimal_lsn:
            add_gap(connection, instance_id, _minimal(pack), times[0])
        for each in told.restore_points:
            _add_name(connection, instance_id, system, pack.timeline, each)


def _minimal(pack: WalPack) -> WalMissing:
    """A gap without a length: there is log on both sides, and no way through."""
    place, why = pack.summary.minimal_lsn, "wal_level was minimal: nothing recovers through it"
    return WalMissing(timeline=pack.timeline, start=place, end=place, why=why)


def _add_name(
    connection: sa.Connection, instance_id: str, system: str, timeline: int, point: RestorePoint
) -> None:
    place = {"instance_id": instance_id, "timeline": timeline, "lsn": point.lsn}
    connection.execute(
        names.delete().where(*(names.c[column] == value for column, value in place.items()))
    )
    more = {"system_identifier": system, "name": point.name, "at": point.at}
    connection.execute(names.insert().values(**place, **more))


def add_history(
    connection: sa.Connection, instance_id: str, system: str, history: WalHistory
) -> None:
    """A timeline's history; one that is known stays as it is."""
    if history.timeline not in histories_of(connection, instance_id, system):
        row = {"timeline": history.timeline, "text": history.text}
        connection.execute(
            histories.insert().values(instance_id=instance_id, system_identifier=system, **row)
        )


def histories_of(connection: sa.Connection, instance_id: str, system: str) -> dict[int, str]:
    """Timeline -> the text of its history."""
    query = sa.select(histories.c.timeline, histories.c.text).where(
        histories.c.instance_id == instance_id, histories.c.system_identifier == system
    )
    return {int(timeline): str(text) for timeline, text in connection.execute(query)}


def add_gap(
    connection: sa.Connection, instance_id: str, missing: WalMissing, now: Instant
) -> bool:
    """Whether it was not known."""
    place = {
        "instance_id": instance_id,
        "timeline": missing.timeline,
        "start_lsn": missing.start,
    }
    known = sa.select(gaps.c.why).where(*(gaps.c[name] == value for name, value in place.items()))
    if connection.execute(known).first() is not None:
        return False
    row = {"end_lsn": missing.end, "why": missing.why, "found_at": now}
    connection.execute(gaps.insert().values(**place, **row))
    return True


def gaps_of(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """In the order in which they were found."""
    query = sa.select(gaps).where(gaps.c.instance_id == instance_id).order_by(gaps.c.found_at)
    return list(connection.execute(query).mappings())


def list_names(
    connection: sa.Connection, instance_id: str, system: str, name: str | None = None
) -> list[sa.RowMapping]:
    """Restore points, the earliest first."""
    query = sa.select(names).where(
        names.c.instance_id == instance_id, names.c.system_identifier == system
    )
    if name is not None:
        query = query.where(names.c.name == name)
    return list(connection.execute(query.order_by(names.c.at)).mappings())


def systems_of(connection: sa.Connection, instance_id: str) -> list[str]:
    """Those of which log is kept, the one that came last first."""
    query = (
        sa.select(packs.c.system_identifier)
        .where(packs.c.instance_id == instance_id, packs.c.going.is_(False))
        .group_by(packs.c.system_identifier)
        .order_by(sa.func.max(packs.c.committed_at).desc())
    )
    return [str(system) for system in connection.execute(query).scalars()]


_PLACE = (packs.c.timeline, packs.c.start_lsn)


def _kept(instance_id: str, system: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        packs.c.instance_id == instance_id,
        packs.c.system_identifier == system,
        packs.c.going.is_(False),
    )


def ranges_of(
    connection: sa.Connection, instance_id: str, system: str
) -> dict[int, list[tuple[int, int]]]:
    """Timeline -> what is kept of it without a hole, (start, end) in order."""
    query = sa.select(packs.c.timeline, packs.c.start_lsn, packs.c.end_lsn)
    found: dict[int, list[tuple[int, int]]] = {}
    for timeline, start, end in connection.execute(
        query.where(_kept(instance_id, system)).order_by(*_PLACE)
    ):
        line = found.setdefault(timeline, [])
        if line and start <= line[-1][1]:
            line[-1] = line[-1][0], max(line[-1][1], end)
        else:
            line.append((start, end))
    return found


def first_kept(connection: sa.Connection, instance_id: str, system: str) -> tuple[int, int] | None:
    """Where the log of a system begins that is kept: (timeline, position); None where none is."""
    query = sa.select(packs.c.timeline, packs.c.start_lsn).where(_kept(instance_id, system))
    row = connection.execute(query.order_by(*_PLACE).limit(1)).first()
    return None if row is None else (row.timeline, row.start_lsn)


def packs_between(
    connection: sa.Connection,
    instance_id: str,
    system: str,
    place: tuple[int, int, int],
    most: int | None = None,
) -> list[sa.RowMapping]:
    """Those of a timeline that reach into `place` = (timeline, start, end), in order.

    Without what happened in them, which is much.
    """
    timeline, start, end = place
    lean = [each for each in packs.c if each.name not in {"seconds", "ended", "parts"}]
    query = (
        sa.select(*lean)
        .where(
            _kept(instance_id, system),
            packs.c.timeline == timeline,
            packs.c.end_lsn > start,
            packs.c.start_lsn < end,
        )
        .order_by(*_PLACE)
    )
    return list(connection.execute(query if most is None else query.limit(most)).mappings())


def ended_in(connection: sa.Connection, instance_id: str, name: str) -> sa.RowMapping:
    """Of one pack: `ended` and `parts`, as in model.wal.Summary."""
    query = sa.select(packs.c.ended, packs.c.parts)
    where = packs.c.instance_id == instance_id, packs.c.name == name
    return connection.execute(query.where(*where)).mappings().one()


def last_commit(
    connection: sa.Connection, instance_id: str, system: str, place: tuple[int, int, int]
) -> int:
    """The latest time of a commit in `place` = (timeline, start, end); 0 without one."""
    timeline, start, end = place
    query = sa.select(sa.func.max(packs.c.last_at)).where(
        _kept(instance_id, system),
        packs.c.timeline == timeline,
        packs.c.end_lsn > start,
        packs.c.start_lsn < end,
    )
    return int(connection.execute(query).scalar() or 0)


def seconds_between(
    connection: sa.Connection, instance_id: str, place: tuple[int, int]
) -> list[sa.RowMapping]:
    """Packs with commits between two times (microseconds since 1970), by time."""
    query = sa.select(packs.c.timeline, packs.c.seconds, packs.c.commits).where(
        packs.c.instance_id == instance_id,
        packs.c.last_at >= place[0],
        packs.c.first_at <= place[1],
        packs.c.commits > 0,
    )
    return list(connection.execute(query.order_by(packs.c.first_at)).mappings())


def list_packs(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """All of them, in the order in which they were committed, without what happened in them."""
    query = sa.select(
        packs.c.name,
        packs.c.system_identifier,
        packs.c.timeline,
        packs.c.start_lsn,
        packs.c.end_lsn,
        packs.c.size,
        packs.c.committed_at,
        packs.c.keep_until,
        packs.c.going,
    ).where(packs.c.instance_id == instance_id)
    return list(connection.execute(query.order_by(packs.c.committed_at, *_PLACE)).mappings())


def has_ended(connection: sa.Connection, instance_id: str, now: Instant) -> bool:
    """Whether there is a range whose promise is over."""
    query = sa.select(packs.c.name).where(
        packs.c.instance_id == instance_id, packs.c.keep_until < now
    )
    return connection.execute(query.limit(1)).first() is not None


def oldest_kept(connection: sa.Connection, instance_id: str) -> Instant | None:
    """When the oldest range was committed that is kept; None without any."""
    query = sa.select(packs.c.committed_at).where(
        packs.c.instance_id == instance_id, packs.c.going.is_(False)
    )
    found: Instant | None = connection.execute(query.order_by(packs.c.committed_at)).scalar()
    return found


def all_names(connection: sa.Connection, instance_id: str) -> set[str]:
    """Every pack that is known, going ones too."""
    query = sa.select(packs.c.name).where(packs.c.instance_id == instance_id)
    return set(connection.execute(query).scalars())


def stored_bytes(connection: sa.Connection, instance_id: str) -> int:
    """What all of it takes in storage."""
    query = sa.select(sa.func.sum(packs.c.size)).where(packs.c.instance_id == instance_id)
    return int(connection.execute(query).scalar() or 0)


def set_going(connection: sa.Connection, instance_id: str, going: Collection[str]) -> None:
    """Nothing is restored from them any more."""
    for part in _parts(going):
        where = packs.c.instance_id == instance_id, packs.c.name.in_(part)
        connection.execute(packs.update().where(*where).values(going=True))


def drop(connection: sa.Connection, instance_id: str, gone: Collection[str]) -> None:
    """They are in storage no more."""
    for part in _parts(gone):
        where = packs.c.instance_id == instance_id, packs.c.name.in_(part)
        connection.execute(packs.delete().where(*where))


def pack_of(row: sa.RowMapping) -> WalPack:
    """A row as it travels, without what happened in it."""
    return WalPack(
        name=row["name"],
        size=row["size"],
        blake3=row["blake3"],
        timeline=row["timeline"],
        start=row["start_lsn"],
        end=row["end_lsn"],
        summary=Summary(),
    )


def _parts(names_: Collection[str]) -> list[list[str]]:
    ordered = sorted(names_)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
