"""How fast an agent has been: bytes and seconds of its jobs that ended well."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import instances, jobs, servers
from strongroom.model.work.job import JobKind, JobStatus

_MOST = 60  # jobs that are looked at
_GOOD = (JobStatus.COMPLETED.value, JobStatus.COMPLETED_WITH_WARNINGS.value)
_STEPS = {JobKind.RESTORE: "Restore data", JobKind.BACKUP: "Read and store data"}


def of_agent(
    connection: sa.Connection, agent_id: str, kind: JobKind
) -> list[tuple[dict[str, Any], int, float]]:
    """(order, raw bytes, seconds) of the agent's newest jobs of a kind, newest first."""
    query = (
        sa.select(jobs.c.order, jobs.c.progress, jobs.c.sub_tasks)
        .join(instances, jobs.c.instance_id == instances.c.id)
        .join(servers, instances.c.server_id == servers.c.id)
        .where(servers.c.agent_id == agent_id, jobs.c.kind == kind.value, jobs.c.status.in_(_GOOD))
        .order_by(jobs.c.started_at.desc())
        .limit(_MOST)
    )
    found = []
    for row in connection.execute(query):
        seconds = _seconds(row.sub_tasks, _STEPS[kind])
        count = int(row.progress.get("doneBytes", 0))
        if seconds > 0 and count > 0:
            found.append((row.order, count, seconds))
    return found


def _seconds(tasks: list[dict[str, Any]], name: str) -> float:
    for task in tasks:
        if task["name"] == name and task["started_at"] and task["ended_at"]:
            begun, ended = (Instant.parse_iso(task[key]) for key in ("started_at", "ended_at"))
            return (ended - begun).total("seconds")
    return 0.0
