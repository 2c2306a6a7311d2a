"""Look at jobs, and cancel one that is under way."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.catalog.work import agent_operations, job_samples
from strongroom.catalog.work import jobs as catalog
from strongroom.control.basis import long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.work import epochs
from strongroom.model import page
from strongroom.model.arm import VaultRef, job_id_of, vault_id_of
from strongroom.model.errors import Cancelled, Conflict, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.page import Mark
from strongroom.model.restore.unfinished import left_in, left_in_place
from strongroom.model.work.job import ANY_JOB, UNCANCELLABLE, Job, JobFilter, JobKind, JobStatus
from strongroom.model.work.job_sample import Sample

ACTION = "Microsoft.DataProtection/backupVaults/backupJobs/read"
CANCEL = "Microsoft.DataProtection/backupVaults/backupJobs/cancel/action"


def page_jobs(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    after: str,
    wanted: JobFilter = ANY_JOB,
) -> tuple[list[Job], str]:
    """A page of a vault's jobs, newest first, and where the next begins."""
    mark = page.read_mark(after)
    with control.database.reading() as connection:
        scope = vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, ACTION, scope)
        vault_id = protection.vault_id(connection, vault.resource_group, vault.name)
        found = catalog.page_of_vault(connection, vault_id, mark, page.SIZE + 1, wanted)
    shown = found[: page.SIZE]
    last = shown[-1] if len(found) > page.SIZE else None
    return shown, "" if last is None else str(Mark(last.started_at, last.id))


def get_job(control: Control, caller: Caller, vault: VaultRef, job_id: str) -> Job:
    """One job of this vault."""
    with control.database.reading() as connection:
        scope = vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, ACTION, scope)
        return _job_of(connection, vault, job_id)


def samples_of(control: Control, job: Job) -> list[Sample]:
    """How far it was, from time to time, of the last thirty days; of a job that get_job() gave."""
    with control.database.reading() as connection:
        return job_samples.list_of_job(connection, job.id)


def lately_of(
    control: Control, since: Mapping[str, Instant]
) -> dict[str, list[tuple[Instant, int]]]:
    """Job -> (when, bytes done) from its moment on, of jobs that the caller has been shown."""
    with control.database.reading() as connection:
        return job_samples.lately(connection, since)


def _job_of(connection: sa.Connection, vault: VaultRef, job_id: str) -> Job:
    vault_id = protection.vault_id(connection, vault.resource_group, vault.name)
    job = catalog.get(connection, job_id.lower())
    if job.vault_id != vault_id:
        raise NotFound(f"vault {vault.name!r} has no job {job_id[:64]}")
    return job


def cancel_job(
    control: Control, caller: Caller, vault: VaultRef, job_id: str, request_key: str
) -> OperationId:
    """The agent learns it with its next heartbeat, and may not write to storage from now on.

    Safe twice. Raises Conflict when the job has ended, or is about to: what an agent has finished
    is recorded, and nothing is half committed.
    """
    subscription = control.installation.subscription_id
    scope = job_id_of(subscription, vault, job_id.lower())

    def act(connection: sa.Connection) -> dict[str, Any]:
        job = _job_of(connection, vault, job_id)
        _cancel(control, connection, caller, job)
        return {"jobId": job_id_of(subscription, vault, job.id)}

    operation = long_running.act_once(control, caller, CANCEL, scope, request_key, act)
    name = job_id.lower()
    control.jobs.notify(f"job:{name}", f"operation:{name}", {"ended": True})
    epochs.withdraw_ended(control, name)
    return operation


def _cancel(control: Control, connection: sa.Connection, caller: Caller, job: Job) -> None:
    asked = agent_operations.get(connection, job.id)
    status = "" if asked is None else asked["status"]
    if job.status is JobStatus.CANCELLED or (
        job.status is JobStatus.IN_PROGRESS and status == "cancelled"
    ):
        return
    if job.status is not JobStatus.IN_PROGRESS:
        raise Conflict(f"job {job.id} has ended: {job.status.value}")
    if job.kind in UNCANCELLABLE or status not in {"", *agent_operations.OPEN}:
        raise Conflict(
            f"job {job.id} is past the point where it can be cancelled",
            hint="Wait: it ends by itself.",
        )
    left = "" if asked is None else _left_by(job)
    now, error = control.clock.now(), Cancelled("the job was cancelled", hint=left).to_dict()
    audit.append(connection, now, caller, ("job/cancel", job.id), {"kind": job.kind.value})
    if asked is None:
        catalog.end(connection, job.id, JobStatus.CANCELLED, now, error=error)
    else:
        agent_operations.end(connection, job.id, "cancelled", error=error)


def _left_by(job: Job) -> str:
    """What a restore that an agent had begun may leave behind: its own words come too late."""
    order = job.order if job.kind is JobKind.RESTORE else {}
    directory = order.get("target_directory")
    if not directory:
        return ""
    left = left_in_place(directory) if order.get("in_place") else left_in([directory])
    return f"Unless it had written nothing yet: {left}"
