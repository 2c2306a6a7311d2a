"""What the pages of the portal show, as rows: six years of points, drills, a log, ended jobs."""

from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from arm_world import ArmWorld
from strongroom.catalog.tables.portal_tables import job_samples
from strongroom.catalog.tables.tables import drills, instances, jobs, recovery_points
from strongroom.catalog.tables.wal_tables import wal_names, wal_packs, wal_streams
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.work.job import JobKind, steps_of
from strongroom.model.work.operation import Progress

KEPT = [("Default", range(14), 14), ("Weekly", range(14, 63, 7), 56)]
KEPT += [("Monthly", range(63, 400, 30), 395), ("Yearly", range(400, 2000, 365), 3650)]
SYSTEM, SEGMENT = "7300000000000000001", 16 << 20
POINT = f"{1:032x}"  # the newest
NEWEST = 3000  # segment, of the newest point
DRILL, BROKEN = "d1", "j-failed"


def fill(world: ArmWorld) -> None:
    """All of it, of the one instance of the story."""
    now = world.clock.now()
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()
        days = [(tag, day, keep) for tag, every, keep in KEPT for day in every]
        rows = [_point(instance, number, *each, now) for number, each in enumerate(days, 1)]
        connection.execute(recovery_points.insert(), rows)
        _tell_drills(connection, instance["id"], now)
        _tell_log(connection, instance["id"], now)
        _tell_jobs(connection, instance, now)


def _point(
    instance: sa.RowMapping, number: int, tag: str, day: int, keep: int, now: Instant
) -> dict[str, Any]:
    at = now.subtract(hours=24 * day + 2)
    end = lsn_to_text(Lsn(SEGMENT * (NEWEST - day) + 100))
    facts = {"version_number": 180001, "databases": {"shop": 5 << 30, "postgres": 8 << 20}}
    facts |= {"system_identifier": SYSTEM, "timeline": 1, "start_lsn": end, "stop_lsn": end}
    facts["tables"] = [["shop", "public.orders", 3 << 30], ["shop", "public.items", 1 << 30]]
    return {
        "id": f"{number:032x}",
        "instance_id": instance["id"],
        "job_id": "job",
        "kind": "Incremental" if day % 7 else "Full",
        "taken_at": at,
        "committed_at": at,
        "expires_at": at.add(hours=24 * keep),
        "tag": tag,
        "policy_id": instance["policy_id"],
        "policy_version": 1,
        "generation": "g",
        "manifest_size": 1,
        "manifest_blake3": b"x" * 32,
        "raw_bytes": 7 << 30,
        "stored_bytes": (50 + day * 7 % 40) << 20,
        "facts": facts,
        "state": "Completed",
    }


def _tell_drills(connection: sa.Connection, instance: str, now: Instant) -> None:
    good = {"sourceVersion": 180001, "serverVersion": "18.1", "databases": 2, "rows": 4_120_000}
    good |= {"relations": 310, "indexes": 120, "readySeconds": 61.0, "seconds": {"restore": 50.0}}
    good |= {"tables": [{"database": "shop", "table": "public.orders", "rows": 4_000_000}]}
    for name, days, problems in (
        (DRILL, 3, []),
        ("d2", 40, ["index orders_pkey of shop: item order invariant violated"]),
    ):
        row = {"id": name, "instance_id": instance, "recovery_point_id": POINT}
        row |= {"began_at": now.subtract(hours=24 * days, minutes=4), "result": good}
        row |= {"ended_at": now.subtract(hours=24 * days), "evidence_blake3": b"e" * 32}
        row |= {"verdict": "Failed" if problems else "Passed", "evidence_name": f"p/{POINT}.drill"}
        row |= {"result": {**good, "problems": problems}, "evidence": b'{"body":{}}'}
        connection.execute(drills.insert().values(**row))


def _tell_log(connection: sa.Connection, instance: str, now: Instant) -> None:
    """Two hours of it, from the newest point on; rows were deleted half an hour ago."""
    start, end = SEGMENT * NEWEST, SEGMENT * (NEWEST + 4)
    since = int(now.subtract(hours=2).timestamp())
    seconds = [{"at": since + 60 * each, "commits": 3 + each % 50} for each in range(1, 119)]
    seconds[88] |= {
        "deleted": {"public.orders": 31_902},
        "gone": ["public.payments"],
        "lostAt": seconds[88]["at"] * 1_000_000 + 214_000,
    }
    row = {"instance_id": instance, "name": f"w/00000001/{start:016X}.1.pack", "size": 4 << 20}
    row |= {"system_identifier": SYSTEM, "timeline": 1, "start_lsn": start, "end_lsn": end}
    row |= {"blake3": b"w" * 32, "committed_at": now, "keep_until": now.add(hours=168)}
    row |= {"first_at": since * 10**6, "last_at": (since + 7080) * 10**6, "last_lsn": end - 64}
    row |= {"commits": 900, "least_xid": 700, "most_xid": 1600, "seconds": seconds, "going": False}
    row |= {"ended": [], "parts": []}
    connection.execute(wal_packs.insert().values(**row))
    name = {"instance_id": instance, "timeline": 1, "lsn": start + 4096, "name": "before v42"}
    name |= {"system_identifier": SYSTEM, "at": (since + 600) * 10**6}
    connection.execute(wal_names.insert().values(**name))
    stream = {"instance_id": instance, "system_identifier": SYSTEM, "timeline": 1}
    stream |= {"end_lsn": end, "segment_size": SEGMENT, "told_at": now, "kept_at": now}
    stream["facts"] = {"state": "Streaming", "slot": "Persistent", "serverLsn": end}
    connection.execute(wal_streams.insert().values(**stream))


def _tell_jobs(connection: sa.Connection, instance: sa.RowMapping, now: Instant) -> None:
    error = {"code": "SourceUnreachable", "message": "the server does not answer"}
    error["hint"] = "start it, or mend its address: strongroom status"
    for name, status, hours, told in (
        ("j-done", "Completed", 2, None),
        (BROKEN, "Failed", 26, error),
    ):
        began = now.subtract(hours=hours)
        row = {"id": name, "vault_id": instance["vault_id"], "instance_id": instance["id"]}
        row |= {"kind": JobKind.BACKUP.value, "status": status, "rule_name": "BackupWeekly"}
        row |= {"started_at": began, "ended_at": began.add(minutes=4), "tag": "Default"}
        row |= {"user_triggered": False, "requested_by": "schedule", "order": {}, "warnings": []}
        told_by = Progress(step="Done", done_bytes=5 << 30, stored_bytes=60 << 20)
        row |= {"progress": msgspec.to_builtins(told_by), "error": told}
        row["sub_tasks"] = msgspec.to_builtins(steps_of(JobKind.BACKUP))
        connection.execute(jobs.insert().values(**row))
        for number in range(80):
            done = (5 << 30) * number // 80 + (number % 7) * (9 << 20)
            sample = {"job_id": name, "number": number, "at": began.add(seconds=5 + 2 * number)}
            sample |= {"step": "Reading" if number else "Connecting", "note": ""}
            sample |= {"done_bytes": done, "stored_bytes": done // 80}
            connection.execute(job_samples.insert().values(**sample))
