"""Find the second: how the stream stands, what is restorable, and what was committed when."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import streaming, wal
from strongroom.catalog.work import agent_operations
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.wal.restorable_ranges import FIND
from strongroom.control.wal.wal_coverage import every_kept
from strongroom.control.wal.wal_moments import every_time
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.wal import Second

MOST_SECONDS = 86_400


class Loss(msgspec.Struct, rename="camel", kw_only=True):
    """Rows of a table that were deleted, or a table that went (`rows` 0), within a second.

    before: the last moment at which they were there, as a restore takes it.
    """

    at: str
    table: str
    deleted: int
    before: str


class WalTimeline(msgspec.Struct, rename="camel", kw_only=True):
    """Times are the server's own clock, in UTC. minutes: (the minute, its commits)."""

    stream: dict[str, Any]
    ranges: list[tuple[str, str]]
    gaps: list[dict[str, Any]]
    names: list[dict[str, Any]]
    minutes: list[tuple[str, int]]
    losses: list[Loss]


def find_second(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    around: tuple[Instant, int] | None,
    points: Sequence[RecoveryPoint] | None = None,
) -> WalTimeline:
    """`around`: a time and how many seconds on either side of it; `points`: all of the instance's,

    where they are looked up already. Raises NotFound, Forbidden.
    """
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, FIND, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        if points is None:
            points = recovery_points.outline_of_instance(connection, found.instance_id)
        every = every_kept(connection, found, points)
        told = WalTimeline(
            stream=_stream(connection, found, control.clock.now()),
            ranges=[],
            gaps=[_gap(row) for row in wal.gaps_of(connection, found.instance_id)],
            names=[],
            minutes=[],
            losses=[],
        )
        ranges = every_time(connection, every)
        told.ranges = [(start.format_iso(), end.format_iso()) for start, end in ranges]
        told.names = [
            {"name": row["name"], "at": _iso(row["at"]), "timeline": row["timeline"]}
            for kept in reversed(every)
            for row in wal.list_names(connection, found.instance_id, kept.system)
        ]
        if around is not None:
            _tell_seconds(connection, found.instance_id, around, told)
        return told


def add_seconds(
    control: Control,
    caller: Caller,
    instance: tuple[VaultRef, str],
    around: tuple[Instant, int],
    told: WalTimeline,
) -> None:
    """What was committed `around` a time, to what was told of the instance without."""
    vault, name = instance
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, FIND, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        _tell_seconds(connection, found.instance_id, around, told)


def stream_state(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str
) -> dict[str, Any]:
    """How the stream stands, alone. Raises NotFound, Forbidden."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, FIND, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        return _stream(connection, found, control.clock.now())


def _tell_seconds(
    connection: sa.Connection,
    instance_id: str,
    around: tuple[Instant, int],
    told: WalTimeline,
) -> None:
    at, seconds = around[0].timestamp(), min(around[1], MOST_SECONDS)
    place = (at - seconds) * 1_000_000, (at + seconds) * 1_000_000
    minutes: dict[int, int] = {}
    for row in wal.seconds_between(connection, instance_id, place):
        for second in msgspec.convert(row["seconds"], list[Second]):
            if abs(second.at - at) > seconds:
                continue
            minute = second.at // 60 * 60
            minutes[minute] = minutes.get(minute, 0) + second.commits
            told.losses += _losses(second)
    told.minutes = [(_iso(at * 1_000_000), minutes[at]) for at in sorted(minutes)]


def _losses(second: Second) -> list[Loss]:
    if not second.lost_at:
        return []
    gone = [_loss(name, 0, second.gone_at.get(name, second.lost_at)) for name in second.gone]
    rows = [
        _loss(name, count, second.deleted_at.get(name, second.lost_at))
        for name, count in second.deleted.items()
    ]
    return sorted(gone + rows, key=lambda each: each.at)


def _loss(table: str, deleted: int, at: int) -> Loss:
    return Loss(at=_iso(at), table=table, deleted=deleted, before=_iso(at - 1))


def _stream(connection: sa.Connection, found: Protection, now: Instant) -> dict[str, Any]:
    row = wal.stream_of(connection, found.instance_id)
    if row is None:
        return _not_begun(connection, found)
    facts = row["facts"]
    return {
        "state": facts.get("state", ""),
        "why": facts.get("why", ""),
        "slot": facts.get("slot", ""),
        "timeline": row["timeline"],
        "end": row["end_lsn"],
        "serverLsn": facts.get("serverLsn", 0),
        "lagSeconds": max(0.0, round((now - row["kept_at"]).total("seconds"), 1)),
        "toldAt": row["told_at"].format_iso(),
        "storedBytes": wal.stored_bytes(connection, found.instance_id),
    }


def _not_begun(connection: sa.Connection, found: Protection) -> dict[str, Any]:
    if not operational_days(found.properties, found.policy):
        return {"state": "Off"}
    asked = agent_operations.get(connection, streaming.operation_of(found.instance_id))
    if asked is None:
        return {"state": "Starting"}
    return {"state": "Starting", "askedAt": asked["created_at"].format_iso()}


def _gap(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "timeline": row["timeline"],
        "start": row["start_lsn"],
        "end": row["end_lsn"],
        "why": row["why"],
        "foundAt": row["found_at"].format_iso(),
    }


def _iso(microseconds: int) -> str:
    return Instant.from_timestamp(microseconds, unit="microsecond").format_iso()
