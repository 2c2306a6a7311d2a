"""Commit a recovery point: verify and lock the packs, create the manifest, sign the receipt.

The order is the promise (docs/format.md): until the receipt exists nothing has happened, after it
the point is whole. Every step may run again: what is there already is opened and compared.
"""

from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.work.agents import delta_name
from strongroom.datastore.maps.delta import lay_over, of_whole_tree, open_delta
from strongroom.datastore.maps.manifest import (
    Contents,
    Manifest,
    PackFacts,
    PointFacts,
    open_manifest,
    seal_manifest,
)
from strongroom.datastore.packs.pack import DELTA, MANIFEST
from strongroom.datastore.statements.receipt import Receipt, ReceiptPack
from strongroom.model.errors import Corrupt, ObjectExists, ObjectMissing, StoreUnavailable
from strongroom.model.ids import GenerationId, JobId, RecoveryPointId
from strongroom.model.points import retention
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import BackupResult, Progress
from strongroom.workflows.backup import dump, strangeness
from strongroom.workflows.backup.older_damage import with_older_damage
from strongroom.workflows.backup.resume import base_of
from strongroom.workflows.backup.strangeness import damaged_pages
from strongroom.workflows.basis.locking import lock_point
from strongroom.workflows.basis.means import Means
from strongroom.workflows.garbage.collect import keep

INCREMENTAL = "Incremental"
SHOWN_TABLES = 20  # of a database


def point_id_of(job_id: JobId) -> RecoveryPointId:
    """A job makes at most one point; its id follows from the job's."""
    return RecoveryPointId(job_id.replace("-", ""))


def commit_point(means: Means, job_id: str, told: dict[str, Any]) -> dict[str, Any]:
    """From the agent's report to the receipt. Returns the receipt's content."""
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
        operation = agent_operations.get(connection, job_id)
    blobs = means.storage.container(job.instance_id)
    point = point_id_of(job.id)
    known = _receipt(means, job.instance_id, point)
    if known is not None:
        return _builtins(known)
    result = msgspec.convert(told, BackupResult)
    name = delta_name(job_id, told["epoch"])
    sealed = blobs.read(name)
    if blake3(sealed).digest() != result.delta_blake3:
        raise Corrupt(f"{name} is not what the agent wrote")
    delta, parent = open_delta(sealed, means.pair_for(job.instance_id, sealed, DELTA)), None
    if result.kind == INCREMENTAL:
        parent = _parent(means, job.instance_id, operation)
    facts = PointFacts(
        recovery_point_id=point,
        instance_id=job.instance_id,
        job_id=job.id,
        taken_at=job.started_at.format_iso(),
        committed_at=means.control.clock.now().format_iso(),
        kind=result.kind.lower() if result.kind == LOGICAL else "physical",
        generation=point if parent is None else parent.facts.generation,
    )
    if result.kind == LOGICAL:
        manifest, parent = dump.lay(means, delta, facts, (operation, told))
    else:
        base = base_of(means, operation, told, parent)
        whole = delta if base is None else of_whole_tree(delta, base)
        manifest = lay_over(whole, facts, base)
    if parent is not None:
        both = (manifest, parent)
        result = with_older_damage(means, operation, result, lambda: both)
    manifest = msgspec.structs.replace(manifest, contents=contents_of(result))
    keep(means, job.instance_id, [pack.name for pack in manifest.objects])
    _verify_packs(means, job, manifest, parent)
    verdict = verdict_of(means, job, result)
    generations = {pack.generation for pack in manifest.objects}
    lock_point(means, job.instance_id, point, generations, verdict.expires_at)
    stored = _create_manifest(means, job.instance_id, manifest)
    return _builtins(_sign(means, job, manifest, stored, verdict))


def _parent(means: Means, instance_id: str, operation: sa.RowMapping | None) -> Manifest:
    """The manifest of the point that the order named; it is still committed."""
    named = (operation["order"].get("parent") or {}) if operation else {}
    if not named:
        raise Corrupt("an increment was reported where a full backup was asked for")
    _, manifest = means.open_point(instance_id, named["recoveryPointId"])
    return manifest


def _builtins(receipt: Receipt) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(receipt)
    return told


def _receipt(means: Means, instance_id: str, point: RecoveryPointId) -> Receipt | None:
    try:
        raw = means.storage.container(instance_id).read(f"p/{point}.receipt")
    except ObjectMissing:
        return None
    return means.keyring.signing.public.check(raw)


def _verify_packs(means: Means, job: Job, manifest: Manifest, parent: Manifest | None) -> None:
    """The endpoint re-reads every pack that is new; success is a re-read.

    Of those that came in this job it has read most while the others came. Those of the parent were
    read again at its own commit: they are looked up, all of them.
    """
    older = {pack.name for pack in parent.objects} if parent is not None else set()
    view = means.storage.account_view(job.instance_id)
    _look_up(means, job.instance_id, [pack for pack in manifest.objects if pack.name in older])
    wanted = {pack.name: pack for pack in manifest.objects if pack.name not in older}
    for digest in view.digests(list(wanted), job.started_at):
        pack = wanted.pop(digest.name)
        if digest.missing:
            raise ObjectMissing(f"pack {digest.name} is not in storage")
        if digest.corrupt or digest.size != pack.size or digest.blake3 != pack.blake3:
            raise Corrupt(f"pack {digest.name} is not what the agent wrote")
    if wanted:
        raise StoreUnavailable(f"the storage endpoint said nothing about {len(wanted)} packs")


def _look_up(means: Means, instance_id: str, packs: list[PackFacts]) -> None:
    """They lie there, as long as they were."""
    blobs = means.storage.container(instance_id)
    sizes: dict[str, int] = {}
    for generation in {pack.generation for pack in packs}:
        sizes.update(blobs.list(f"g/{generation}/"))
    for pack in packs:
        if pack.name not in sizes:
            raise ObjectMissing(f"pack {pack.name} of an earlier point is not in storage")
        if sizes[pack.name] != pack.size:
            raise Corrupt(f"pack {pack.name} of an earlier point is not as long as it was")


def _create_manifest(means: Means, instance_id: str, manifest: Manifest) -> bytes:
    """Create it, read it back, open it. One that is there already must say the same."""
    blobs = means.storage.container(instance_id)
    public = means.keyring.public(instance_id, "catalogue")
    name = f"p/{manifest.facts.recovery_point_id}.manifest"
    sealed = seal_manifest(manifest, public, means.control.clock, means.control.chance)
    try:
        blobs.create(name, sealed)
    except ObjectExists:
        sealed = blobs.read(name)
    stored = blobs.read(name)
    pair = means.pair_for(instance_id, stored, MANIFEST)
    if stored != sealed or not open_manifest(stored, pair).same_content(manifest):
        raise Corrupt(f"{name} does not read back as it was written")
    return stored


def verdict_of(means: Means, job: Job, result: BackupResult) -> retention.Verdict:
    """Which tag the point gets, and when it ends. One that looks wrong gets no better tag than

    the default, unless a person has asked for it. Under a clock that went back it ends later by
    as much, or it would end too early once the clock is right again.
    """
    with means.control.database.reading() as connection:
        strange = strangeness.judge(connection, job, result)
    return tag_of(means, job, job.started_at, is_strange=bool(strange))


def tag_of(means: Means, job: Job, until: Instant, *, is_strange: bool) -> retention.Verdict:
    """What a job's point gets of those taken `until` then (workflows/promote.py asks again)."""
    with means.control.database.reading() as connection:
        found = protection.by_id(connection, job.instance_id)
        earlier = recovery_points.newest_of_each_tag(connection, job.instance_id, until)
    policy = parse_policy(found.policy)
    due = job.order.get("due_at")
    due_at = Instant.parse_iso(due) if due else None
    tag = job.tag or (policy.retention_for("").name if is_strange else None)
    found_for = retention.tag_for(policy, job.rule_name, job.started_at, earlier, tag, due_at)
    behind = means.control.behind()
    return replace(found_for, expires_at=found_for.expires_at.add(seconds=round(behind)))


def _sign(
    means: Means, job: Job, manifest: Manifest, stored: bytes, verdict: retention.Verdict
) -> Receipt:
    control = means.control
    with control.database.reading() as connection:
        found = protection.by_id(connection, job.instance_id)
    receipt = Receipt(
        recovery_point_id=manifest.facts.recovery_point_id,
        instance_id=job.instance_id,
        vault=f"{found.resource_group}/{found.vault_name}",
        server=found.server_name,
        taken_at=job.started_at.format_iso(),
        committed_at=control.clock.now().format_iso(),
        tag=verdict.tag,
        expires_at=verdict.expires_at.format_iso(),
        manifest_size=len(stored),
        manifest_blake3=blake3(stored).digest(),
        packs=[ReceiptPack(name=p.name, size=p.size, blake3=p.blake3) for p in manifest.objects],
    )
    name = f"p/{receipt.recovery_point_id}.receipt"
    raw = means.keyring.signing.sign(receipt)
    blobs = means.storage.container(job.instance_id)
    try:
        blobs.create(name, raw)
    except ObjectExists:
        raw = blobs.read(name)
    return means.keyring.signing.public.check(blobs.read(name))


def record_point(means: Means, job_id: str, committed: dict[str, Any]) -> None:
    """Repeat in the catalogue what the receipt has made true."""
    control = means.control
    receipt = msgspec.convert(committed, Receipt)
    job, row, result = _reported(means, job_id, receipt)
    with control.database.writing() as connection:
        found = protection.by_id(connection, job.instance_id)
        point = RecoveryPoint(
            id=RecoveryPointId(receipt.recovery_point_id),
            instance_id=job.instance_id,
            job_id=job.id,
            kind=result.kind if result.kind in {INCREMENTAL, LOGICAL} else "Full",
            taken_at=job.started_at,
            committed_at=Instant.parse_iso(receipt.committed_at),
            expires_at=Instant.parse_iso(receipt.expires_at),
            tag=receipt.tag,
            policy_id=found.policy_id,
            policy_version=found.policy_version,
            policy_name=found.policy_name,
            generation=_generation(row, result) or GenerationId(receipt.recovery_point_id),
            manifest_size=receipt.manifest_size,
            manifest_blake3=receipt.manifest_blake3,
            raw_bytes=result.raw_bytes,
            stored_bytes=result.stored_bytes,
            facts=_facts(result, receipt),
            state="Completed",
        )
        strange = strangeness.judge(connection, job, result)
        strangeness.add_point(connection, point, strange, control.clock.now())
        jobs.set_progress(connection, job_id, _whole(result))
        status = JobStatus.COMPLETED_WITH_WARNINGS if result.warnings else JobStatus.COMPLETED
        now = control.clock.now()
        order = {**job.order, "kind": point.kind, **_whys(job, result), "tag": point.tag}
        order["recovery_point_time"] = point.taken_at.format_iso()
        told = {"recovery_point_id": point.id, "warnings": result.warnings, "order": order}
        if jobs.end(connection, job_id, status, now, **told):
            what = {"job": job_id, "tag": point.tag, "expires": receipt.expires_at}
            audit.append(connection, now, "service", ("recoveryPoint/commit", point.id), what)


def _reported(
    means: Means, job_id: str, receipt: Receipt
) -> tuple[Job, sa.RowMapping | None, BackupResult]:
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
        row = agent_operations.get(connection, job_id)
    result = msgspec.convert(row["result"] if row else None, BackupResult)
    if result.kind != INCREMENTAL:
        return job, row, result

    def both() -> tuple[Manifest, Manifest]:
        _, manifest = means.open_point(job.instance_id, receipt.recovery_point_id)
        return manifest, _parent(means, job.instance_id, row)

    return job, row, with_older_damage(means, row, result, both)


def _whys(job: Job, result: BackupResult) -> dict[str, str]:
    """Why the backup was not what a person would expect of it."""
    if result.kind == LOGICAL:
        return {"why_full": "", "why_logical": result.why_logical}
    return {"why_full": str(job.order.get("why_full") or result.why_full)}


def _generation(row: sa.RowMapping | None, result: BackupResult) -> GenerationId | None:
    """The parent's, for an increment."""
    parent = row["order"].get("parent") if row and result.kind == INCREMENTAL else None
    return GenerationId(parent["generation"]) if parent else None


def _whole(result: BackupResult) -> Progress:
    """The last word on progress: a short backup ends before its first heartbeat."""
    return Progress(
        step="Completed",
        done_bytes=result.raw_bytes,
        total_bytes=result.raw_bytes,
        stored_bytes=result.stored_bytes,
        files=result.files,
    )


def _facts(result: BackupResult, receipt: Receipt) -> dict[str, Any]:
    return {
        "version_number": result.version_number,
        "system_identifier": result.system_identifier,
        "timeline": result.timeline,
        "start_lsn": result.start_lsn,
        "stop_lsn": result.stop_lsn,
        "files": result.files,
        "packs": result.packs,
        "restore_bytes": receipt.stored_bytes,
        "tablespaces": result.tablespaces,
        **told_facts(contents_of(result)),
    }


def contents_of(result: BackupResult) -> Contents:
    """What the manifest says beside the map, so that a lost catalogue has it again."""
    return Contents(
        databases=result.databases,
        extensions=result.extensions,
        tables=[(each.database, each.table, each.bytes, each.file) for each in result.tables],
        damaged_pages=damaged_pages(result),
        read_bytes=result.read_bytes,
        why_logical=result.why_logical,
    )


def told_facts(contents: Contents) -> dict[str, Any]:
    """Of these what the catalogue keeps of a point: of each database the largest tables."""
    shown: dict[str, list[list[Any]]] = {}
    for database, table, size, _ in contents.tables:
        mine = shown.setdefault(database, [])
        if len(mine) < SHOWN_TABLES:
            mine.append([database, table, size])
    return {
        "databases": contents.databases,
        "extensions": contents.extensions,
        "tables": [each for mine in shown.values() for each in mine],
        "read_bytes": contents.read_bytes,
        **({"why_logical": contents.why_logical} if contents.why_logical else {}),
        **({"damaged_pages": contents.damaged_pages} if contents.damaged_pages else {}),
    }
