"""Work whose story has ended without ending it: given up, cancelled, forgotten, or met a bug.

Nobody would end it any more, and what is "in progress" keeps the next of its kind from beginning.
No input, safe twice, by any number of processes at once.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import operations
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.control import Control
from strongroom.durable.engine import WorkflowState, WorkflowStatus
from strongroom.model.errors import Cancelled, Failed, VaultError
from strongroom.model.protection.protection_state import CONFIGURING, FAILED
from strongroom.model.work.job import JobStatus

_AGAIN = "trigger the job again; the log of `serve` says what ended this one"
_LIVING = {WorkflowState.PENDING, WorkflowState.RUNNING}


def end_orphans(control: Control) -> list[str]:
    """Fail what nobody works for any more; the ids of the jobs and operations that were."""
    with control.database.reading() as connection:
        running = jobs.list_running(connection)
        configuring = operations.list_running(connection, "backupInstance")
        holding = operations.list_running(connection, "legalHold")
    # In this order: a row and its story are one transaction, so a row that was there has a story
    # unless it is gone, and a story that has ended has written its last before.
    found = control.jobs.statuses([_story_of_job(job) for job in running])
    found |= control.jobs.statuses([_story_of_configuring(each) for each in configuring])
    found |= control.jobs.statuses([_story_of_holding(each) for each in holding])
    ended = [job for job in running if _end_job(control, job, found)]
    made = [each for each in configuring if _end_configuring(control, each, found)]
    return [*ended, *made, *(each for each in holding if _end_holding(control, each, found))]


def _story_of_job(job_id: str) -> str:
    return f"job:{job_id}"


def _story_of_configuring(operation_id: str) -> str:
    return f"configure:{operation_id}"


def _story_of_holding(operation_id: str) -> str:
    return f"hold:{operation_id}"


def _end_holding(control: Control, operation_id: str, found: Mapping[str, WorkflowStatus]) -> bool:
    """What was to be held is so still, in the catalogue; to ask for it again goes on with it."""
    error = _why_over(found.get(_story_of_holding(operation_id)))
    if error is None:
        return False
    now = control.clock.now()
    with control.database.writing() as connection:
        long_running.end_operation(connection, operation_id, now, error=error.to_dict())
    return True


def _end_job(control: Control, job_id: str, found: Mapping[str, WorkflowStatus]) -> bool:
    error = _why_over(found.get(_story_of_job(job_id)))
    if error is None:
        return False
    now = control.clock.now()
    with control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        if job.status is not JobStatus.IN_PROGRESS:
            return False
        operation = job.order.get("operation")  # of ARM's, where that ends with the job
        if operation:
            long_running.end_operation(connection, operation, now, error=error.to_dict())
        jobs.end(connection, job_id, JobStatus.FAILED, now, error=error.to_dict())
        agent_operations.end(connection, job_id, "cancelled", error=error.to_dict())
        audit.append(connection, now, "service", ("job/fail", job_id), _told(error))
    return True


def _end_configuring(
    control: Control, operation_id: str, found: Mapping[str, WorkflowStatus]
) -> bool:
    error = _why_over(found.get(_story_of_configuring(operation_id)))
    if error is None:
        return False
    now = control.clock.now()
    with control.database.writing() as connection:
        row = operations.get(connection, operation_id)
        if row is None or row["status"] != "Inprogress":
            return False
        long_running.end_operation(connection, operation_id, now, error=error.to_dict())
        _fail_instance(connection, row["resource_id"], error)
        what = ("instance/configureFailed", row["resource_id"])
        audit.append(connection, now, "service", what, _told(error))
    return True


def _fail_instance(connection: sa.Connection, scope: str, error: VaultError) -> None:
    """`scope` is of our own making: .../resourceGroups/G/.../backupVaults/V/backupInstances/I."""
    parts = scope.split("/")
    found = protection.by_name(connection, parts[-7], parts[-3], parts[-1])
    if found.state == CONFIGURING:
        protection.set_state(connection, found.instance_id, FAILED, error.to_dict())


def _why_over(story: WorkflowStatus | None) -> VaultError | None:
    """What to say of work with such a story; None while the story lives."""
    if story is None:
        return Failed("nobody works for this any more: its history is gone", hint=_AGAIN)
    if story.state in _LIVING:
        return None
    if story.state is WorkflowState.CANCELLED:
        return Cancelled("the work was cancelled before its end", hint=_AGAIN)
    error = story.error or Failed("the work ended without a word of how", hint=_AGAIN)
    error.hint = error.hint or _AGAIN
    return error


def _told(error: VaultError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message}
