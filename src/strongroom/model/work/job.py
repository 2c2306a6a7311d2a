"""A job: durable work that somebody, or a schedule, asked for. Its states are a table."""

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from whenever import Instant

from strongroom.model.errors import Conflict
from strongroom.model.ids import InstanceId, JobId
from strongroom.model.work.operation import Progress


class JobStatus(StrEnum):
    """Azure's words."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    COMPLETED_WITH_WARNINGS = "CompletedWithWarnings"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class JobKind(StrEnum):
    """What a job does."""

    BACKUP = "Backup"
    RESTORE = "Restore"
    COLLECT = "CollectGarbage"
    VERIFY = "Verify"
    DRILL = "Drill"
    LONG_TERM = "LongTermBackup"


class JobFilter(NamedTuple):
    """Which jobs are looked for; empty: any. instance: the name of the backup instance."""

    status: str = ""
    kind: str = ""
    instance: str = ""


ANY_JOB = JobFilter()
UNCANCELLABLE = frozenset({JobKind.COLLECT})  # what no agent does

# From each status, where a job may go. A terminal status never changes.
TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.IN_PROGRESS: frozenset(JobStatus) - {JobStatus.IN_PROGRESS},
    JobStatus.COMPLETED: frozenset(),
    JobStatus.COMPLETED_WITH_WARNINGS: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


def check_transition(job: JobId, now: JobStatus, to: JobStatus) -> None:
    """Raise Conflict when `to` cannot follow `now`."""
    if to not in TRANSITIONS[now]:
        raise Conflict(f"job {job} is {now.value} and cannot become {to.value}")


class SubTask(msgspec.Struct, kw_only=True):
    """One step of a job, in the order in which they run."""

    name: str
    status: str  # NotStarted | InProgress | Completed | Failed | Skipped
    started_at: str = ""  # ISO 8601 UTC
    ended_at: str = ""


BACKUP_STEPS = ("Check readiness", "Read and store data", "Verify storage", "Commit")
RESTORE_STEPS = ("Plan", "Restore data")
COLLECT_STEPS = ("Collect garbage",)
VERIFY_STEPS = ("Plan", "Read and check")
DRILL_STEPS = ("Plan", "Restore and try")
LONG_TERM_STEPS = ("Check readiness", "Dump into the container")
_STEPS = {
    JobKind.BACKUP: BACKUP_STEPS,
    JobKind.RESTORE: RESTORE_STEPS,
    JobKind.COLLECT: COLLECT_STEPS,
    JobKind.VERIFY: VERIFY_STEPS,
    JobKind.DRILL: DRILL_STEPS,
    JobKind.LONG_TERM: LONG_TERM_STEPS,
}


def steps_of(kind: JobKind) -> list[SubTask]:
    """The sub tasks of a new job."""
    return [SubTask(name=name, status="NotStarted") for name in _STEPS[kind]]


class Job(msgspec.Struct, kw_only=True):
    """A job as the catalogue knows it, with the names that people need beside the ids."""

    id: JobId
    vault_id: str
    instance_id: InstanceId
    kind: JobKind
    status: JobStatus
    started_at: Instant
    ended_at: Instant | None
    rule_name: str
    tag: str
    user_triggered: bool
    requested_by: str
    order: dict[str, Any]
    progress: Progress
    sub_tasks: list[SubTask]
    error: dict[str, Any] | None  # VaultError.to_dict()
    warnings: list[dict[str, Any]]
    recovery_point_id: str | None
    instance_name: str
    vault_name: str
    resource_group: str
    policy_name: str
    server_name: str
    server_resource_group: str
    location: str
    server_id: str = ""  # where it is the server's own: then vault and instance may be empty
