"""A long-term backup, told as it happens: the agent dumps the server into a container."""

from typing import Any

import msgspec

from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import servers
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.model.work.job import JobStatus
from strongroom.model.work.long_term import KIND, LongTermOrder
from strongroom.model.work.operation import Progress, RestoreResult
from strongroom.workflows.basis import agent_work
from strongroom.workflows.basis.means import Means


def dump_out(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one such job; the operation that began it ends with it."""
    try:
        story.step("offer to the agent", _offer, means, job_id)
        told = agent_work.run_on_agent(means, story, job_id)
        story.step("record", _record, means, job_id, told)
    except VaultError as error:
        story.step("fail", _fail, means, job_id, error.to_dict())


def _offer(means: Means, job_id: str) -> None:
    agent_work.begin_step(means, job_id, "Check readiness")
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
        server = servers.by_id(connection, job.server_id)
    assert server is not None  # noqa: S101 - it is not deleted while its job is under way
    agent_work.begin_step(means, job_id, "Dump into the container")
    order = LongTermOrder(
        server=server["agent_server"],
        job_id=job.id,
        backup_name=job.order["backup_name"],
        target_url=job.order["target_url"],
    )
    agent_work.offer(means, agent_work.operation_for(job, server["agent_id"], KIND, order))


def _record(means: Means, job_id: str, told: dict[str, Any]) -> None:
    result, now = msgspec.convert(told, RestoreResult), means.control.clock.now()
    status = JobStatus.COMPLETED_WITH_WARNINGS if result.warnings else JobStatus.COMPLETED
    done = result.written_bytes
    progress = Progress(step="Completed", done_bytes=done, total_bytes=done, files=result.files)
    with means.control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        jobs.set_progress(connection, job_id, progress)
        order = {**job.order, "result": told}
        if jobs.end(connection, job_id, status, now, warnings=result.warnings, order=order):
            what = {"job": job_id, "target": job.order["target_url"]}
            action = ("longTermBackup/complete", job.order["backup_name"])
            audit.append(connection, now, "service", action, what)
            long_running.end_operation(connection, job.order["operation"], now, result={})


def _fail(means: Means, job_id: str, error: dict[str, Any]) -> None:
    agent_work.fail_job(means, job_id, error)
    with means.control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        why = job.error or error
        now = means.control.clock.now()
        long_running.end_operation(connection, job.order["operation"], now, error=why)
