"""Jobs: rows in, `Job` out."""

from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.tables.tables import (
    instances,
    jobs,
    policies,
    resource_groups,
    servers,
    vaults,
)
from strongroom.model.errors import NotFound
from strongroom.model.ids import InstanceId, JobId
from strongroom.model.page import Mark
from strongroom.model.work.job import (
    ANY_JOB,
    Job,
    JobFilter,
    JobKind,
    JobStatus,
    SubTask,
    check_transition,
    steps_of,
)
from strongroom.model.work.operation import Progress

_server_groups = resource_groups.alias("server_groups")
_SELECT = (
    sa.select(
        jobs,
        instances.c.name.label("instance_name"),
        vaults.c.name.label("vault_name"),
        resource_groups.c.name.label("resource_group"),
        policies.c.name.label("policy_name"),
        servers.c.name.label("server_name"),
        servers.c.location.label("location"),
        _server_groups.c.name.label("server_resource_group"),
    )
    .outerjoin(instances, jobs.c.instance_id == instances.c.id)
    .outerjoin(vaults, jobs.c.vault_id == vaults.c.id)
    .outerjoin(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
    .outerjoin(policies, instances.c.policy_id == policies.c.id)
    .join(servers, servers.c.id == sa.func.coalesce(jobs.c.server_id, instances.c.server_id))
    .join(_server_groups, servers.c.resource_group_key == _server_groups.c.name_key)
)
# What the job of a server that nothing protects has none of.
_OF_VAULT = (
    "vault_id",
    "instance_id",
    "instance_name",
    "vault_name",
    "resource_group",
    "policy_name",
    "server_id",
)

_BACKING_UP = sa.and_(
    jobs.c.kind == JobKind.BACKUP.value, jobs.c.status == JobStatus.IN_PROGRESS.value
)


def _job(row: sa.RowMapping) -> Job:
    fields = {name: row[name] for name in Job.__struct_fields__}
    fields |= {name: row[name] or "" for name in _OF_VAULT}
    fields["kind"] = JobKind(row["kind"])
    fields["status"] = JobStatus(row["status"])
    fields["progress"] = msgspec.convert(row["progress"], Progress)
    fields["sub_tasks"] = msgspec.convert(row["sub_tasks"], list[SubTask])
    return Job(**fields)


def add(
    connection: sa.Connection,
    job_id: JobId,
    found: Protection | None,
    kind: JobKind,
    at: Instant,
    **asked: Any,  # noqa: ANN401 - rule_name, tag, user_triggered, requested_by, order
) -> None:
    """A new job, in progress, with none of its steps begun; a server's own has its `server_id`."""
    connection.execute(
        jobs.insert().values(
            id=job_id,
            vault_id=None if found is None else found.vault_id,
            instance_id=None if found is None else found.instance_id,
            kind=kind.value,
            status=JobStatus.IN_PROGRESS.value,
            started_at=at,
            progress=msgspec.to_builtins(Progress(step="Waiting")),
            sub_tasks=msgspec.to_builtins(steps_of(kind)),
            warnings=[],
            **asked,
        )
    )


def get(connection: sa.Connection, job_id: str) -> Job:
    """One job; NotFound when there is none."""
    row = connection.execute(_SELECT.where(jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return _job(row)


def is_known(connection: sa.Connection, job_id: str) -> bool:
    """Whether there is or was such a job."""
    return connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id)).first() is not None


def list_ended(
    connection: sa.Connection, instance_id: str, limit: int, wanted: JobFilter = ANY_JOB
) -> list[Job]:
    """The newest that have ended, of one instance or (empty) of all."""
    query = _SELECT.where(jobs.c.status != JobStatus.IN_PROGRESS.value)
    if instance_id:
        query = query.where(jobs.c.instance_id == instance_id)
    query = _those(query, wanted)
    rows = connection.execute(query.order_by(jobs.c.started_at.desc()).limit(limit))
    return [_job(row) for row in rows.mappings()]


def page_of_vault(
    connection: sa.Connection,
    vault_id: str,
    after: Mark | None,
    most: int,
    wanted: JobFilter = ANY_JOB,
) -> list[Job]:
    """The newest first, those behind `after`."""
    query = _those(_SELECT.where(jobs.c.vault_id == vault_id), wanted)
    if after is not None:
        at_once = sa.and_(jobs.c.started_at == after.at, jobs.c.id < after.id)
        query = query.where(
            jobs.c.started_at <= after.at, sa.or_(jobs.c.started_at < after.at, at_once)
        )
    query = query.order_by(jobs.c.started_at.desc(), jobs.c.id.desc()).limit(most)
    return [_job(row) for row in connection.execute(query).mappings()]


def _those(query: sa.Select[Any], wanted: JobFilter) -> sa.Select[Any]:
    columns = jobs.c.status, jobs.c.kind, instances.c.name
    for column, value in zip(columns, wanted, strict=True):
        if value:
            query = query.where(sa.func.lower(column) == value.lower())
    return query


def running(connection: sa.Connection, instance_id: InstanceId, kind: JobKind) -> JobId | None:
    """The job of this kind that is under way for an instance, if any."""
    found = connection.execute(
        sa.select(jobs.c.id).where(
            jobs.c.instance_id == instance_id,
            jobs.c.kind == kind.value,
            jobs.c.status == JobStatus.IN_PROGRESS.value,
        )
    ).scalar()
    return None if found is None else JobId(found)


def list_of_server(connection: sa.Connection, server_id: str) -> list[Job]:
    """Those of a server itself, whatever protects it, the newest first: long-term backups."""
    query = _SELECT.where(jobs.c.server_id == server_id).order_by(jobs.c.started_at.desc())
    return [_job(row) for row in connection.execute(query).mappings()]


def running_of_server(connection: sa.Connection, server_id: str) -> list[JobId]:
    """Those of them that are under way."""
    query = sa.select(jobs.c.id).where(
        jobs.c.server_id == server_id, jobs.c.status == JobStatus.IN_PROGRESS.value
    )
    return [JobId(found) for found in connection.execute(query).scalars()]


def is_busy(connection: sa.Connection, instance_id: InstanceId) -> bool:
    """Whether any job of the instance is under way."""
    query = sa.select(jobs.c.id).where(
        jobs.c.instance_id == instance_id, jobs.c.status == JobStatus.IN_PROGRESS.value
    )
    return connection.execute(query.limit(1)).first() is not None


def backups_under_way(connection: sa.Connection, instance_id: str) -> list[str]:
    """The rules of the instance's scheduled backups that are; empty for one on demand."""
    columns = sa.select(jobs.c.rule_name, jobs.c.user_triggered)
    query = columns.where(jobs.c.instance_id == instance_id, _BACKING_UP)
    return ["" if row.user_triggered else row.rule_name for row in connection.execute(query)]


def count_backups_of_agent(connection: sa.Connection, agent_id: str) -> int:
    """How many backups of an agent's servers are under way."""
    query = (
        sa.select(sa.func.count())
        .select_from(jobs)
        .join(instances, jobs.c.instance_id == instances.c.id)
        .join(servers, instances.c.server_id == servers.c.id)
        .where(servers.c.agent_id == agent_id, _BACKING_UP)
    )
    return connection.execute(query).scalar_one()


def count_backups_of_vault(connection: sa.Connection, vault_id: str) -> int:
    """How many backups of a vault's instances are under way."""
    query = sa.select(sa.func.count()).select_from(jobs)
    return connection.execute(query.where(jobs.c.vault_id == vault_id, _BACKING_UP)).scalar_one()


def list_running(connection: sa.Connection) -> list[JobId]:
    """Every job that is under way."""
    query = sa.select(jobs.c.id).where(jobs.c.status == JobStatus.IN_PROGRESS.value)
    return [JobId(found) for found in connection.execute(query).scalars()]


def sealed_signature(connection: sa.Connection, job_id: str) -> bytes | None:
    """What opens the target of a job that is under way, sealed; None when it needs nothing."""
    query = sa.select(jobs.c.sealed_signature).where(jobs.c.id == job_id)
    found: bytes | None = connection.execute(query).scalar()
    return found


def sealed_signatures(connection: sa.Connection) -> dict[str, bytes]:
    """Job -> what opens its target, sealed; of those that have any."""
    query = sa.select(jobs.c.id, jobs.c.sealed_signature).where(
        jobs.c.sealed_signature.is_not(None)
    )
    return {row.id: row.sealed_signature for row in connection.execute(query)}


def reseal_signature(connection: sa.Connection, job_id: str, before: bytes, after: bytes) -> bool:
    """The same signature under another key; False when it was not `before`."""
    mine = sa.and_(jobs.c.id == job_id, jobs.c.sealed_signature == before)
    found = connection.execute(jobs.update().where(mine).values(sealed_signature=after))
    return bool(found.rowcount)


def set_progress(connection: sa.Connection, job_id: str, progress: Progress) -> None:
    """What the agent last said. Late news of an ended job is dropped."""
    connection.execute(
        jobs.update()
        .where(jobs.c.id == job_id, jobs.c.status == JobStatus.IN_PROGRESS.value)
        .values(progress=msgspec.to_builtins(progress))
    )


def set_order(connection: sa.Connection, job_id: str, order: dict[str, Any]) -> None:
    """What was asked, with what was decided about it."""
    connection.execute(jobs.update().where(jobs.c.id == job_id).values(order=order))


def begin_step(connection: sa.Connection, job_id: str, name: str, at: Instant) -> None:
    """Every step before `name` is completed, `name` is in progress. Safe twice."""
    tasks = get(connection, job_id).sub_tasks
    position = [task.name for task in tasks].index(name)
    for task in tasks[:position]:
        if task.status != "Completed":
            task.status, task.ended_at = "Completed", at.format_iso()
    if tasks[position].status == "NotStarted":
        tasks[position].status, tasks[position].started_at = "InProgress", at.format_iso()
    connection.execute(
        jobs.update().where(jobs.c.id == job_id).values(sub_tasks=msgspec.to_builtins(tasks))
    )


def end(
    connection: sa.Connection,
    job_id: str,
    status: JobStatus,
    at: Instant,
    **facts: Any,  # noqa: ANN401 - error, warnings, recovery_point_id
) -> bool:
    """Give a job its terminal status; False when it has the same one already (safe twice)."""
    job = get(connection, job_id)
    if job.status is status:
        return False
    check_transition(job.id, job.status, status)
    good = status in {JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_WARNINGS}
    for task in job.sub_tasks:
        if task.status == "InProgress" or (good and task.status == "NotStarted"):
            task.status, task.ended_at = "Completed" if good else "Failed", at.format_iso()
        elif task.status == "NotStarted":
            task.status = "Skipped"
    connection.execute(
        jobs.update()
        .where(jobs.c.id == job_id)
        .values(
            status=status.value,
            ended_at=at,
            sub_tasks=msgspec.to_builtins(job.sub_tasks),
            sealed_signature=None,
            **facts,
        )
    )
    return True
