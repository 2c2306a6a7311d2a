"""Jobs under way that do not go on: whose agent is busy, away, or silent in the midst of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog import held_jobs as catalog
from strongroom.control.control import Control
from strongroom.model.job import Job
from strongroom.model.operation import LEASE_SECONDS

AWAY_SECONDS = 300  # as of the alert for a lost agent
STALLED, AWAY, BUSY = "stalled", "away", "busy"


@dataclass(frozen=True, slots=True)
class Holdup:
    """kind: stalled (its agent is silent), away (to take it), busy (with `other`, if one may see).

    since: when the agent was heard last.
    """

    kind: str
    agent: str
    since: Instant
    other: Job | None = None


def holdups_of(control: Control, seen: Sequence[Job]) -> dict[str, Holdup]:
    """Job -> what holds it up, of the jobs under way that the caller has `seen`."""
    known: dict[str, Job] = {job.id: job for job in seen}
    now = control.clock.now()
    with control.database.reading() as connection:
        rows = catalog.open_of(connection, list(known))
    found = {}
    for row in rows:
        held = _holdup(row, rows, known, now) if row["job_id"] in known else None
        if held is not None:
            found[row["job_id"]] = held
    return found


def _holdup(
    row: sa.RowMapping, rows: Sequence[sa.RowMapping], known: dict[str, Job], now: Instant
) -> Holdup | None:
    if row["status"] == "leased":
        silent = row["lease_until"] < now
        heard = max(row["seen_at"], row["lease_until"].subtract(seconds=LEASE_SECONDS))
        return Holdup(STALLED, row["agent"], heard) if silent else None
    at_work = [
        each
        for each in rows
        if each["agent_id"] == row["agent_id"]
        and each["status"] == "leased"
        and each["lease_until"] >= now
    ]
    if at_work:
        return Holdup(BUSY, row["agent"], now, known.get(at_work[0]["job_id"]))
    away = (now - row["seen_at"]).total("seconds") > AWAY_SECONDS
    return Holdup(AWAY, row["agent"], row["seen_at"]) if away else None
