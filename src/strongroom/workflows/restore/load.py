"""Loading a logical point: what its agent is asked, and how the result is kept."""

from typing import Any

import msgspec

from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.job import Job
from strongroom.model.work.logical import LoadOrder, LoadRequest, LoadResult
from strongroom.model.work.operation import RestoreResult


def load_order(job: Job, point: RecoveryPoint) -> LoadOrder:
    """The request was examined: it names the agent's own name of the server."""
    asked = msgspec.convert(job.order["load"], LoadRequest)
    return LoadOrder(
        server=asked.agent_server,
        job_id=job.id,
        recovery_point_id=point.id,
        instance_id=job.instance_id,
        manifest_name=f"p/{point.id}.manifest",
        databases=asked.databases,
        with_roles=asked.with_roles,
    )


def as_restored(told: dict[str, Any]) -> RestoreResult:
    """In the words of every restore: the databases count as files, there is no directory."""
    result = msgspec.convert(told, LoadResult)
    return RestoreResult(
        directory="",
        files=len(result.databases),
        written_bytes=result.loaded_bytes,
        fetched_bytes=result.fetched_bytes,
        next_steps=result.next_steps,
        warnings=result.warnings,
    )
