"""A pass of garbage collection that somebody asked for, as a job."""

from typing import Any

import msgspec

from strongroom.catalog.work import jobs
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis import agent_work
from strongroom.workflows.basis.means import Means
from strongroom.workflows.garbage.collect import collect


def collect_garbage(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one such job."""
    try:
        told = story.step("collect", _collect, means, job_id)
        story.step("record", _record, means, job_id, told)
    except VaultError as error:
        story.step("fail", agent_work.fail_job, means, job_id, error.to_dict())


def _collect(means: Means, job_id: str) -> dict[str, Any]:
    agent_work.begin_step(means, job_id, "Collect garbage")
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
    grace = float(job.order["grace_days"]) * 86_400.0
    dry_run = bool(job.order["dry_run"])
    found = collect(means, job.instance_id, grace_seconds=grace, dry_run=dry_run)
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told


def _record(means: Means, job_id: str, told: dict[str, Any]) -> None:
    now = means.control.clock.now()
    with means.control.database.writing() as connection:
        order = {**jobs.get(connection, job_id).order, "collected": told}
        jobs.end(connection, job_id, JobStatus.COMPLETED, now, order=order)
