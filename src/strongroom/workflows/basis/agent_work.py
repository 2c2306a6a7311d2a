"""Offer an operation to an agent and wait, durably, for how it ends."""

from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import agent_operations, agents, jobs
from strongroom.durable.engine import Story
from strongroom.model.errors import Cancelled, SourceUnreachable, from_dict
from strongroom.model.work.job import Job, JobStatus
from strongroom.workflows.basis.means import Means

POLL_SECONDS = 20.0  # a lost wake-up costs at most this
SILENCE_SECONDS = 900.0  # without a heartbeat for so long, the agent counts as lost


class Ended(msgspec.Struct, kw_only=True):
    """How an agent's share of a job ended."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    at_end: bool = True


def run_on_agent(means: Means, story: Story, operation_id: str) -> dict[str, Any]:
    """Wait for the agent. Raises what the agent failed with, or that it is lost."""
    while True:
        told = story.step("look at the agent", _look, means, operation_id)
        ended = msgspec.convert(told, Ended)
        if ended.error is not None:
            raise from_dict(ended.error)
        if ended.at_end:
            return ended.result or {}
        story.wait(f"operation:{operation_id}", POLL_SECONDS)


def offer(means: Means, operation: dict[str, Any]) -> None:
    """Put the operation up; the same id twice is once. Raises Cancelled when its job was."""
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        _check_wanted(connection, operation["job_id"])
        agent_operations.offer(connection, {**operation, "created_at": now})
    means.control.offered.ring(operation["agent_id"])


def operation_of(job: Job, found: Protection, kind: str, order: msgspec.Struct) -> dict[str, Any]:
    """The row of a job's one operation; its id is the job's, so that twice is once."""
    return operation_for(job, found.agent_id, kind, order)


def operation_for(job: Job, agent_id: str, kind: str, order: msgspec.Struct) -> dict[str, Any]:
    """The same, for any agent."""
    return {
        "id": job.id,
        "job_id": job.id,
        "workflow_id": f"job:{job.id}",
        "agent_id": agent_id,
        "kind": kind,
        "order": msgspec.to_builtins(order),
    }


def _look(means: Means, operation_id: str) -> dict[str, Any]:
    control = means.control
    now = control.clock.now()
    with control.database.writing() as connection:
        row = agent_operations.get(connection, operation_id)
        assert row is not None  # noqa: S101 - offered by the step before
        if row["status"] == "completed":
            return _told(Ended(result=row["result"]))
        if row["status"] in {"failed", "cancelled"}:
            return _told(Ended(error=row["error"]))
        heard = row["lease_until"] or max(
            row["created_at"], agents.heard_of(connection, row["agent_id"])
        )
        if (now - heard).total("seconds") < SILENCE_SECONDS:
            return _told(Ended(at_end=False))
        lost = SourceUnreachable(
            "the agent has not been heard of for fifteen minutes",
            hint="start the agent on the database host: strongroom status",
        ).to_dict()
        agent_operations.end(connection, operation_id, "failed", error=lost)
        return _told(Ended(error=lost))


def _told(ended: Ended) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(ended)
    return told


def begin_step(means: Means, job_id: str, name: str) -> None:
    """Show the job's next step. Raises Cancelled when the job was."""
    with means.control.database.writing() as connection:
        _check_wanted(connection, job_id)
        jobs.begin_step(connection, job_id, name, means.control.clock.now())


def _check_wanted(connection: sa.Connection, job_id: str) -> None:
    if jobs.get(connection, job_id).status is JobStatus.CANCELLED:
        raise Cancelled(f"job {job_id} was cancelled")


def fail_job(means: Means, job_id: str, error: dict[str, Any]) -> None:
    """The job has failed, loudly and for good, or was cancelled: only then is its operation."""
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        operation = agent_operations.get(connection, job_id)
        if operation is not None and operation["status"] == "cancelled":
            jobs.end(connection, job_id, JobStatus.CANCELLED, now, error=operation["error"])
        elif job.status is JobStatus.IN_PROGRESS:
            jobs.end(connection, job_id, JobStatus.FAILED, now, error=error)
            told = {"code": error["code"], "message": error["message"]}
            audit.append(connection, now, "service", ("job/fail", job_id), told)
