"""Every instance at one glance: what an overview needs, in one query."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.tables import (
    drills,
    instances,
    jobs,
    policies,
    recovery_points,
    resource_groups,
    schedules,
    servers,
    vaults,
)
from strongroom.model.protection.protection_state import ABLE, SOFT_DELETED
from strongroom.model.work.job import JobKind, JobStatus

_NEWEST = (
    sa.select(recovery_points.c.taken_at)
    .where(
        recovery_points.c.instance_id == instances.c.id,
        recovery_points.c.state == COMPLETED,
    )
    .order_by(recovery_points.c.taken_at.desc())
    .limit(1)
)
_OLDEST = _NEWEST.order_by(None).order_by(recovery_points.c.taken_at)
_POINTS = sa.select(sa.func.count()).where(
    recovery_points.c.instance_id == instances.c.id, recovery_points.c.state == COMPLETED
)
_NEXT = sa.select(sa.func.min(schedules.c.next_fire_at)).where(
    schedules.c.instance_id == instances.c.id
)
_DRILL = sa.select(drills.c.verdict).where(drills.c.instance_id == instances.c.id)
_DRILL = _DRILL.order_by(drills.c.ended_at.desc()).limit(1)
_DRILLED = sa.select(sa.func.max(drills.c.ended_at)).where(drills.c.instance_id == instances.c.id)


def _as(query: sa.Select[Any], name: str) -> sa.Label[Any]:
    return query.correlate(instances).scalar_subquery().label(name)


_SELECT = (
    sa.select(
        instances.c.id,
        instances.c.name,
        instances.c.state,
        instances.c.created_at,
        instances.c.tags,
        instances.c.policy_id,
        policies.c.name.label("policy_name"),
        vaults.c.name.label("vault_name"),
        resource_groups.c.name.label("resource_group"),
        servers.c.name.label("server_name"),
        servers.c.facts["versionNumber"].as_integer().label("version_number"),
        servers.c.facts["sizeBytes"].as_float().label("size_bytes"),  # beyond 32 bits
        servers.c.agent_id,
        _as(_NEWEST, "newest_at"),
        _as(_OLDEST, "oldest_at"),
        _as(_POINTS, "points"),
        _as(_NEXT, "next_fire_at"),
        _as(_DRILL, "drill"),
        _as(_DRILLED, "drilled_at"),
    )
    .join(vaults, instances.c.vault_id == vaults.c.id)
    .join(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
    .join(policies, instances.c.policy_id == policies.c.id)
    .join(servers, instances.c.server_id == servers.c.id)
    .where(instances.c.state != SOFT_DELETED)
    .order_by(instances.c.name_key, vaults.c.name_key)
)


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """All that are not deleted, by name."""
    return list(connection.execute(_SELECT).mappings())


def policies_in_use(connection: sa.Connection) -> dict[str, str]:
    """Policy id -> its JSON text."""
    query = sa.select(policies.c.id, policies.c.properties)
    return {row.id: row.properties for row in connection.execute(query)}


def policy_of_each(connection: sa.Connection) -> dict[str, str]:
    """Instance -> the id of its policy."""
    query = sa.select(instances.c.id, instances.c.policy_id)
    return {row.id: row.policy_id for row in connection.execute(query)}


def last_backups(connection: sa.Connection) -> dict[str, sa.RowMapping]:
    """Instance -> its newest backup job that has ended; of those that failed or warned."""
    ended = sa.and_(
        jobs.c.kind == JobKind.BACKUP.value, jobs.c.status != JobStatus.IN_PROGRESS.value
    )
    newest = (
        sa.select(jobs.c.instance_id, sa.func.max(jobs.c.started_at).label("at"))
        .where(ended)
        .group_by(jobs.c.instance_id)
        .subquery()
    )
    told = ("id", "instance_id", "status", "ended_at", "error", "rule_name", "order")
    query = (
        sa.select(*(jobs.c[name] for name in told))
        .join(
            newest,
            sa.and_(jobs.c.instance_id == newest.c.instance_id, jobs.c.started_at == newest.c.at),
        )
        .where(jobs.c.kind == JobKind.BACKUP.value, jobs.c.status == JobStatus.FAILED.value)
    )
    return {row["instance_id"]: row for row in connection.execute(query).mappings()}


def able_to_try_again(connection: sa.Connection, ids: Sequence[str], *, newest: bool) -> set[str]:
    """Of these jobs: those whose instance is there, and takes backups where they are backups.

    `newest`: and has had no other of the kind since.
    """
    later = jobs.alias("later")
    since = sa.select(later.c.id).where(
        later.c.instance_id == jobs.c.instance_id,
        later.c.kind == jobs.c.kind,
        later.c.started_at > jobs.c.started_at,
    )
    takes = sa.or_(jobs.c.kind != JobKind.BACKUP.value, instances.c.state.in_(ABLE))
    query = (
        sa.select(jobs.c.id)
        .join(instances, jobs.c.instance_id == instances.c.id)
        .where(jobs.c.id.in_(ids), instances.c.state != SOFT_DELETED, takes)
    )
    if newest:
        query = query.where(~since.exists())
    return set(connection.execute(query).scalars()) if ids else set()


def running_by_vault(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """(group, vault, how many jobs are under way there); empty names: what no vault holds."""
    group, vault = (
        sa.func.coalesce(column, "") for column in (resource_groups.c.name, vaults.c.name)
    )
    query = (
        sa.select(group, vault, sa.func.count())
        .select_from(jobs)
        .outerjoin(vaults, jobs.c.vault_id == vaults.c.id)
        .outerjoin(resource_groups, vaults.c.resource_group_key == resource_groups.c.name_key)
        .where(jobs.c.status == JobStatus.IN_PROGRESS.value)
        .group_by(resource_groups.c.name, vaults.c.name)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def unprotected_servers(connection: sa.Connection) -> list[sa.RowMapping]:
    """(name, resource_group, agent_id, agent_server, facts) of those that nothing protects."""
    taken = sa.select(instances.c.server_id)
    query = (
        sa.select(
            *(servers.c[name] for name in ("name", "agent_id", "agent_server", "facts")),
            resource_groups.c.name.label("resource_group"),
        )
        .join(resource_groups, servers.c.resource_group_key == resource_groups.c.name_key)
        .where(servers.c.id.not_in(taken))
        .order_by(servers.c.name_key)
    )
    return list(connection.execute(query).mappings())
