"""What is wrong with the log as it comes: it does not, or some of it never did."""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.wal import streaming, wal
from strongroom.control.overview.fleet import Ship
from strongroom.model.ids import InstanceId
from strongroom.model.oversight.alert import WARNING, Cause
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.work.logical import LOGICAL

QUIET_SECONDS = 300.0  # a stream that stands says so every ten


def causes_of_log(
    connection: sa.Connection, ships: Mapping[str, Ship], now: Instant
) -> Iterator[Cause]:
    """`ships`: those whose agents are heard; one that is lost is told of by itself."""
    for stand in streaming.stands(connection):
        ship = ships.get(stand.instance_id)
        row = wal.stream_of(connection, stand.instance_id) if stand.is_wanted else None
        if ship is None or row is None or not row["timeline"]:
            continue
        if why := _quiet(row, now):
            title = "has no log coming in"
            yield _about(ship, "log", title, why, "See that its agent reaches server and store.")
        if gap := _open_gap(connection, stand.instance_id):
            hint = f"A full backup follows by itself. See: strongroom timeline {ship.name}"
            yield _about(ship, "gap", "has lost log", gap, hint)


def _quiet(row: sa.RowMapping, now: Instant) -> str:
    """Why nothing comes; empty where it does."""
    said = (now - row["told_at"]).total("seconds")
    behind = (now - row["kept_at"]).total("seconds")
    waits = row["facts"].get("state") == "Waiting" and behind > QUIET_SECONDS
    if said <= QUIET_SECONDS and not waits:
        return ""
    since = row["told_at"].round("minute").format_iso()
    return str(row["facts"].get("why") or f"Nothing was said of it since {since}.")


def _open_gap(connection: sa.Connection, instance_id: InstanceId) -> str:
    """The last one, until there is a point behind it."""
    gaps = wal.gaps_of(connection, instance_id)
    if not gaps:
        return ""
    last = gaps[-1]
    if any(
        point.kind != LOGICAL and point.taken_at > last["found_at"]
        for point in recovery_points.list_of_instance(connection, instance_id)
    ):
        return ""
    if last["end_lsn"] == last["start_lsn"]:
        return f"At {lsn_to_text(Lsn(last['start_lsn']))} {last['why']}."
    ends = f" to {lsn_to_text(Lsn(last['end_lsn']))}" if last["end_lsn"] else " on"
    starts = lsn_to_text(Lsn(last["start_lsn"]))
    return f"What was written from {starts}{ends} is missing: {last['why']}."


def _about(ship: Ship, kind: str, title: str, words: str, hint: str) -> Cause:
    return Cause(
        key=f"{kind}:{ship.id}",
        subject=ship.id,
        severity=WARNING,
        title=f"{ship.name} {title}",
        words=words,
        hint=hint,
        path=f"/instances/{ship.vault.resource_group}/{ship.vault.name}/{ship.name}",
    )
