"""What holds jobs up that are under way: their agent, a lack of progress, or where they wait."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.work import held_jobs as catalog
from strongroom.catalog.work import job_samples
from strongroom.control.basis.control import Control
from strongroom.model.work.job import Job
from strongroom.model.work.operation import BY_LIMIT, BY_NETWORK, BY_SERVER, LEASE_SECONDS

AWAY_SECONDS = 300  # as of the alert for a lost agent
STILL_SECONDS = 300  # its agent is heard, and tells the same each time
STALLED, STILL, AWAY, BUSY = "stalled", "still", "away", "busy"
LIMIT, NETWORK, SERVER = "limit", "network", "server"
_BY = {BY_LIMIT: LIMIT, BY_NETWORK: NETWORK, BY_SERVER: SERVER}


@dataclass(frozen=True, slots=True)
class Holdup:
    """kind: stalled (its agent is silent), still (nothing has moved), away (to take it), busy
    (with `other`, if one may see); or what it waits for while it goes on: limit, network, server.

    since: when the agent was heard last; of still: how long at the least. limit: bytes a second
    that the instance's settings allow, 0 where the agent's own host has said how many.
    """

    kind: str
    agent: str
    since: Instant
    other: Job | None = None
    limit: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether it goes on all the same, as fast as that lets it."""
        return self.kind in _BY.values()


def holdups_of(control: Control, seen: Sequence[Job]) -> dict[str, Holdup]:
    """Job -> what holds it up, of the jobs under way that the caller has `seen`."""
    known: dict[str, Job] = {job.id: job for job in seen}
    now = control.clock.now()
    found = {}
    with control.database.reading() as connection:
        rows = catalog.open_of(connection, list(known))
        for row in rows:
            job = known.get(row["job_id"])
            if job is None:
                continue
            if row["status"] == "leased":
                held = _of_leased(connection, row, job, now)
            else:
                held = _of_offered(row, rows, known, now)
            if held is not None:
                found[row["job_id"]] = held
    return found


def _of_leased(
    connection: sa.Connection, row: sa.RowMapping, job: Job, now: Instant
) -> Holdup | None:
    heard = max(row["seen_at"], row["lease_until"].subtract(seconds=LEASE_SECONDS))
    if row["lease_until"] < now:
        return Holdup(STALLED, row["agent"], heard)
    still = job_samples.still_since(connection, job.id, job.progress)
    if still is not None and (now - still).total("seconds") > STILL_SECONDS:
        return Holdup(STILL, row["agent"], still)
    by = _BY.get(job.progress.held_by)
    return None if by is None else Holdup(by, row["agent"], heard, limit=row["limit"] or 0)


def _of_offered(
    row: sa.RowMapping, rows: Sequence[sa.RowMapping], known: dict[str, Job], now: Instant
) -> Holdup | None:
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
