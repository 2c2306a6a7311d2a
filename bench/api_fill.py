"""A catalogue with much in it: rows as the control plane writes them, without the work behind."""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import agents, instances, jobs, recovery_points, servers
from strongroom.model.work.job import JobKind, steps_of
from strongroom.model.work.operation import Progress, ServerFacts

_AT_ONCE = 5000  # rows of one statement
_STEPS = [
    msgspec.structs.replace(step, status="Completed", started_at="2026-01-01T00:00:00Z")
    for step in steps_of(JobKind.BACKUP)
]


def add_servers(database: Database, group: str, count: int, now: Instant) -> None:
    """So many servers of one agent, ready, heard of a moment ago (and for an hour from now)."""
    heard = now.add(hours=1)
    agent = {"id": "bench", "name": "bench", "token_hash": "bench", "version": "1"}
    with database.writing() as connection:
        connection.execute(agents.insert().values(**agent, enrolled_at=now, seen_at=heard))
        rows = [_server(group, number, now, heard) for number in range(count)]
        connection.execute(servers.insert(), rows)


def _server(group: str, number: int, now: Instant, heard: Instant) -> dict[str, Any]:
    name = name_of(number)
    facts = ServerFacts(
        name=name,
        ready=True,
        version_number=160004,
        size_bytes=40 << 30,
        databases={f"database_{each}": 1 << 30 for each in range(8)},
        data_directory=f"/srv/{name}",
        extensions={"plpgsql": "1.0", "pg_stat_statements": "1.10"},
        endpoint=f"{name}.example:5432",
        dumpable=True,
    )
    return {
        "id": f"{number:032x}",
        "resource_group_key": group.lower(),
        "name": name,
        "name_key": name,
        "location": "local",
        "agent_id": "bench",
        "agent_server": name,
        "facts": msgspec.to_builtins(facts),
        "tags": {"team": "bench"},
        "created_at": now,
        "seen_at": heard,
    }


def add_instances(database: Database, count: int, now: Instant) -> None:
    """As many as there shall be in all, each like the one that the API made, and their servers."""
    with database.writing() as connection:
        server = dict(connection.execute(sa.select(servers)).mappings().one())
        like = dict(connection.execute(sa.select(instances)).mappings().one())
        rows = [_server_like(server, number) for number in range(1, count)]
        connection.execute(servers.insert(), rows)
        rows = [_like(like, number, now) for number in range(1, count)]
        connection.execute(instances.insert(), rows)


def _server_like(like: dict[str, Any], number: int) -> dict[str, Any]:
    name = name_of(number)
    own = {"id": f"{number:032x}", "name": name, "name_key": name, "agent_server": name}
    return like | own


def _like(like: dict[str, Any], number: int, now: Instant) -> dict[str, Any]:
    name = f"{name_of(number)}-inst"
    own = {"id": f"{number:032x}", "name": name, "name_key": name, "server_id": f"{number:032x}"}
    return like | own | {"created_at": now}


def name_of(number: int) -> str:
    """Of a server."""
    return f"pg{number:05}"


def add_points(database: Database, each: int, now: Instant) -> int:
    """So many recovery points of every instance, and the job of each; how many in all."""
    with database.writing() as connection:
        found = connection.execute(sa.select(instances)).mappings().all()
        count = 0
        for rows in _in_parts(found, each, now):
            connection.execute(recovery_points.insert(), [point for point, _ in rows])
            connection.execute(jobs.insert(), [job for _, job in rows])
            count += len(rows)
        if not database.is_sqlite:
            connection.execute(sa.text("analyze"))
    return count


def _in_parts(
    found: Any,  # noqa: ANN401 - rows
    each: int,
    now: Instant,
) -> Iterator[list[tuple[dict[str, Any], dict[str, Any]]]]:
    part = []
    for row in found:
        for age in range(each):
            part.append(_pair(row, age, now))
            if len(part) == _AT_ONCE:
                yield part
                part = []
    if part:
        yield part


def _pair(row: Any, age: int, now: Instant) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
    taken, point = now.add(hours=-24 * age), f"{age:08x}{row['id'][8:]}"
    job = f"{point[:8]}-{point[8:12]}-4{point[13:16]}-8{point[17:20]}-{point[20:]}"
    facts = {
        "version_number": 160004,
        "start_lsn": "7/28000028",
        "stop_lsn": "7/28000100",
        "databases": {f"database_{each}": 1 << 30 for each in range(8)},
        "extensions": {"plpgsql": "1.0", "pg_stat_statements": "1.10"},
    }
    return {
        "id": point,
        "instance_id": row["id"],
        "job_id": job,
        "kind": "Full" if age % 7 == 0 else "Incremental",
        "taken_at": taken,
        "committed_at": taken.add(minutes=3),
        "expires_at": now.add(hours=24 * 365),
        "tag": "Default",
        "policy_id": row["policy_id"],
        "policy_version": 1,
        "generation": point,
        "manifest_size": 1 << 20,
        "manifest_blake3": b"x" * 32,
        "raw_bytes": 40 << 30,
        "stored_bytes": 1 << 30,
        "facts": facts,
        "state": "Completed",
    }, {
        "id": job,
        "vault_id": row["vault_id"],
        "instance_id": row["id"],
        "kind": JobKind.BACKUP.value,
        "status": "Completed",
        "started_at": taken,
        "ended_at": taken.add(minutes=3),
        "rule_name": "BackupWeekly",
        "tag": "Default",
        "user_triggered": False,
        "requested_by": "",
        "order": {"kind": "Full"},
        "progress": msgspec.to_builtins(Progress(step="Completed", done_bytes=40 << 30)),
        "sub_tasks": msgspec.to_builtins(_STEPS),
        "warnings": [],
        "recovery_point_id": point,
    }
