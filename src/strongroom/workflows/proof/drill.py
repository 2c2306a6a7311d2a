"""A drill, told as it happens: the control plane proves the map, the agent restores and tries.

What was found is signed and stored before anybody is told of it. A point that fails holds the
expiry of its elders, and the job fails with it; what could not be tried is no verdict.
"""

from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import drills, expiry_holds, recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.datastore.reading.verify import DAMAGE, verify_manifest
from strongroom.datastore.statements.evidence import (
    Evidence,
    check_evidence,
    detail_of,
    name_of,
    sign_evidence,
)
from strongroom.durable.engine import Story
from strongroom.model.errors import Corrupt, ObjectExists, VaultError
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.drill import (
    FAILED,
    PASSED,
    TRUE,
    Assertion,
    Drill,
    DrillOrder,
    DrillResult,
)
from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.operation import Progress
from strongroom.workflows.basis import agent_work, held_expiry
from strongroom.workflows.basis.locking import lock_names
from strongroom.workflows.basis.means import Means

_HINT = (
    "Take another backup while the server lives, and verify this point. Its elders are kept until "
    "a later one passes: strongroom drill show NAME."
)

log = structlog.get_logger()


def drill(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one drill."""
    try:
        spoiled = story.step("plan", _plan, means, job_id)
        told = spoiled or agent_work.run_on_agent(means, story, job_id)
        stored = story.step("sign", _sign, means, job_id, told)
        story.step("record", _record, means, job_id, told, stored)
    except VaultError as error:
        story.step("fail", agent_work.fail_job, means, job_id, error.to_dict())


def _load(connection: sa.Connection, job_id: str) -> tuple[Job, RecoveryPoint]:
    job = jobs.get(connection, job_id)
    return job, recovery_points.get(connection, job.instance_id, str(job.recovery_point_id))


def _plan(means: Means, job_id: str) -> dict[str, Any]:
    """Receipt and manifest are what was committed, then the agent is asked: nothing is returned.

    A point whose map is broken needs no agent: what is wrong with it is returned.
    """
    agent_work.begin_step(means, job_id, "Plan")
    with means.control.database.reading() as connection:
        job, point = _load(connection, job_id)
        found = protection.by_id(connection, job.instance_id)
    try:
        receipt = means.storage.container(job.instance_id).read(f"p/{point.id}.receipt")
        manifest = means.open_point(job.instance_id, point.id)[1]
        verify_manifest(manifest, means.keyring.signing.public.check(receipt))
    except DAMAGE as error:
        result = DrillResult(source_version=int(point.facts.get("version_number", 0)))
        result.find(f"its receipt or its manifest: {error.message}")
        told: dict[str, Any] = msgspec.to_builtins(result)
        return told
    order = DrillOrder(
        job_id=job.id,
        recovery_point_id=point.id,
        instance_id=job.instance_id,
        manifest_name=f"p/{point.id}.manifest",
        server=found.agent_server,
        assertions=msgspec.convert(job.order.get("assertions", []), list[Assertion]),
    )
    agent_work.begin_step(means, job_id, "Restore and try")
    agent_work.offer(means, agent_work.operation_of(job, found, "drill", order))
    return {}


def _sign(means: Means, job_id: str, told: dict[str, Any]) -> dict[str, Any]:
    """State what was found where nobody rewrites it, for as long as the point is kept.

    Safe twice: what is there already counts.
    """
    with means.control.database.reading() as connection:
        job, point = _load(connection, job_id)
    now = means.control.clock.now()
    evidence = _evidence(job, point, told, now)
    raw = sign_evidence(means.keyring.signing, evidence)
    blobs, name = means.storage.container(job.instance_id), name_of(point.id, job.id)
    try:
        blobs.create(name, raw)
    except ObjectExists:
        raw = blobs.read(name)
    stored = check_evidence(means.keyring.signing.public, blobs.read(name))
    if stored.detail_blake3 != evidence.detail_blake3:
        raise Corrupt(f"{name} states another drill", hint="Look into the storage endpoint.")
    if point.expires_at > now:
        lock_names(means, job.instance_id, [name], point.expires_at)
    told = {"ended_at": stored.ended_at, "name": name, "blake3": blake3(raw).hexdigest()}
    return {**told, "object": raw.decode("ascii")}


def _evidence(job: Job, point: RecoveryPoint, told: dict[str, Any], now: Instant) -> Evidence:
    result = _result(told)
    seconds = {**result.seconds, "ready": result.ready_seconds}
    return Evidence(
        recovery_point_id=point.id,
        instance_id=job.instance_id,
        job_id=job.id,
        manifest_blake3=point.manifest_blake3,
        began_at=job.started_at.format_iso(),
        ended_at=now.format_iso(),
        verdict=result.verdict,
        source_version=result.source_version,
        server_version=result.server_version,
        problems=len(result.problems) + result.more_problems,
        warnings=len(result.warnings),
        databases=result.databases,
        tables=len(result.tables) + result.more_tables,
        rows=result.rows,
        relations_checked=result.relations,
        indexes_checked=result.indexes,
        assertions=len(result.answers),
        assertions_true=sum(each.answer == TRUE for each in result.answers),
        written_bytes=result.written_bytes,
        fetched_bytes=result.fetched_bytes,
        milliseconds={step: round(spent * 1000) for step, spent in seconds.items()},
        network=result.network,
        detail_blake3=detail_of(msgspec.to_builtins(result)),
    )


def _result(told: dict[str, Any]) -> DrillResult:
    return msgspec.convert({k: v for k, v in told.items() if k != "epoch"}, DrillResult)


def _record(means: Means, job_id: str, told: dict[str, Any], stored: dict[str, Any]) -> None:
    """Repeat in the catalogue what the evidence states, and draw what follows from it."""
    control, result = means.control, _result(told)
    ended = Instant.parse_iso(stored["ended_at"])
    with control.database.writing() as connection:
        job, point = _load(connection, job_id)
        row = Drill(
            id=job.id,
            instance_id=job.instance_id,
            recovery_point_id=point.id,
            began_at=job.started_at,
            ended_at=ended,
            verdict=result.verdict,
            result=msgspec.to_builtins(result),
            evidence_name=stored["name"],
            evidence_blake3=bytes.fromhex(stored["blake3"]),
            evidence=stored["object"].encode(),
        )
        if not drills.add(connection, row):
            return
        recovery_points.note_facts(connection, point.id, {"drill": fact_of(row, result)})
        what = ("recoveryPoint/drill", point.id)
        said = {"job": job.id, "verdict": row.verdict, "evidence": row.evidence_name}
        audit.append(connection, ended, "service", what, said)
        jobs.set_progress(connection, job.id, _whole(result))
        if result.verdict == PASSED:
            held_expiry.release_proven(connection, job.instance_id, point, ended)
            status = JobStatus.COMPLETED_WITH_WARNINGS if result.warnings else JobStatus.COMPLETED
            jobs.end(connection, job.id, status, ended, warnings=result.warnings)
        else:
            _fail(connection, job, point, result, ended)
    log.info("recovery_point.drilled", point=row.recovery_point_id, verdict=row.verdict)


def _fail(
    connection: sa.Connection, job: Job, point: RecoveryPoint, result: DrillResult, at: Instant
) -> None:
    """The job fails with what was found, and what is older is kept."""
    more = len(result.problems) + result.more_problems - 1
    error = Corrupt(
        f"recovery point {point.id} failed its drill: {result.problems[0]}"
        + (f", and {more} more" if more else ""),
        hint=_HINT,
        code="DrillFailed",
        facts={"problems": result.problems},
    )
    why = f"recovery point {point.id} failed its drill"
    held_expiry.hold(connection, job.instance_id, point.id, (expiry_holds.DRILL, why), at)
    jobs.end(connection, job.id, JobStatus.FAILED, at, error=error.to_dict())
    told = {"code": error.code, "message": error.message}
    audit.append(connection, at, "service", ("job/fail", job.id), told)
    log.error("recovery_point.drill_failed", point=point.id, why=result.problems[0])


def fact_of(row: Drill, result: DrillResult) -> dict[str, Any]:
    """What a point says of its last drill."""
    told: dict[str, Any] = {
        "verdict": row.verdict,
        "at": row.ended_at.format_iso(),
        "job": row.id,
        "evidence": row.evidence_name,
        "readySeconds": result.ready_seconds,
        "rows": result.rows,
        "assertions": len(result.answers),
    }
    return told | ({"problem": result.problems[0]} if row.verdict == FAILED else {})


def _whole(result: DrillResult) -> Progress:
    return Progress(
        step="Completed",
        done_bytes=result.written_bytes,
        total_bytes=result.written_bytes,
        stored_bytes=result.fetched_bytes,
        files=len(result.tables),
    )
