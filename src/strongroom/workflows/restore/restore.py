"""A restore, told as it happens. The agent writes; the control plane opens just the keys."""

from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.restore import new_servers
from strongroom.control.restore.restore_rights import check_identity
from strongroom.datastore.keys.session import SessionKeys, content_keys, seal_session
from strongroom.datastore.maps.manifest import Manifest
from strongroom.durable.engine import Story
from strongroom.model.errors import Forbidden, VaultError
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.wal import Recovery
from strongroom.model.work.extract import ExtractOrder, ExtractRequest
from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.logical import LoadOrder, LoadRequest
from strongroom.model.work.operation import (
    KeysRequest,
    Progress,
    Registration,
    RestoreOrder,
    RestoreResult,
)
from strongroom.workflows.basis import agent_work
from strongroom.workflows.basis.means import Means
from strongroom.workflows.restore.load import as_restored, load_order

Order = RestoreOrder | ExtractOrder | LoadOrder


def restore(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one restore job."""
    try:
        story.step("plan", _plan, means, job_id)
        told = agent_work.run_on_agent(means, story, job_id)
        story.step("record", _record, means, job_id, told)
    except VaultError as error:
        story.step("fail", _fail, means, job_id, error.to_dict())


def _fail(means: Means, job_id: str, error: dict[str, Any]) -> None:
    agent_work.fail_job(means, job_id, error)
    with means.control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        new_servers.settle(connection, job, means.control.clock.now(), job.error or error)


def _plan(means: Means, job_id: str) -> None:
    """The point is still whole, the vault's identity has its roles; then the agent is asked."""
    agent_work.begin_step(means, job_id, "Plan")
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
        found = protection.by_id(connection, job.instance_id)
        point = recovery_points.get(connection, job.instance_id, job.order["recovery_point_id"])
        signed = jobs.sealed_signature(connection, job_id) is not None
        check_identity(means.control, connection, found, _asked(job), signed=signed)
    means.at(job.order).open_point(job.instance_id, point.id)
    kind, order = _order(job, point)
    agent_work.begin_step(means, job_id, "Restore data")
    operation = agent_work.operation_of(job, found, kind, order)
    operation["order"]["second"] = bool(job.order.get("second"))
    if job.order.get("load"):
        operation["agent_id"] = job.order["load"]["agent_id"]  # of the server that is loaded
    agent_work.offer(means, operation)


def _asked(job: Job) -> tuple[LoadRequest | None, ExtractRequest | None]:
    """(load, part), as the request had them."""
    order = job.order
    load = msgspec.convert(order.get("load"), LoadRequest | None)
    return load, msgspec.convert(order.get("part"), ExtractRequest | None)


def _order(job: Job, point: RecoveryPoint) -> tuple[str, Order]:
    """The operation's kind, and what the agent is asked."""
    asked = job.order
    told = asked.get("recovery")
    recovery = None if told is None else msgspec.convert(told, Recovery)
    if asked.get("load"):
        return "load", load_order(job, point)
    if asked.get("part"):
        return "extract", ExtractOrder(
            job_id=job.id,
            recovery_point_id=point.id,
            instance_id=job.instance_id,
            manifest_name=f"p/{point.id}.manifest",
            target_directory=asked["target_directory"],
            recovery=recovery,
            **asked["part"],
        )
    return "restore", RestoreOrder(
        job_id=job.id,
        recovery_point_id=point.id,
        instance_id=job.instance_id,
        manifest_name=f"p/{point.id}.manifest",
        target_directory=asked["target_directory"],
        tablespaces=asked["tablespaces"],
        start=asked["start"],
        port=asked["port"],
        in_place=asked.get("in_place", False),
        recovery=recovery,
        register=msgspec.convert(asked.get("new_server"), Registration | None),
    )


def release_keys(
    means: Means, point_id: str, instance_id: str, operation_id: str, asked: KeysRequest
) -> bytes:
    """The content keys of one point, as many as are asked for, sealed to one restore session."""
    with means.control.database.reading() as connection:
        row = agent_operations.get(connection, operation_id)
    order, kind = ({}, "") if row is None else (row["order"], row["kind"])
    place = means.at(order)
    manifest_key, manifest = place.open_point(instance_id, point_id)
    pairs = partial(means.keyring.pair_of, instance_id)
    # Where a pack has lost its key, a verification goes on, to tell what is lost with it, and so
    # does who reads a part, which may not need it.
    blobs, tolerant = place.storage.container(instance_id), kind in {"verify", "extract"}
    packs = content_keys(blobs, manifest, pairs, _chosen(manifest, asked), tolerant=tolerant)
    keys = SessionKeys(manifest=manifest_key, packs=packs)
    return seal_session(keys, asked.session_public_key, operation_id)


def _chosen(manifest: Manifest, asked: KeysRequest) -> Collection[int]:
    """Which of the point's packs; Forbidden for one that it does not need."""
    every = range(len(manifest.packs))
    if asked.packs is None:
        return every if asked.at_most is None or len(every) <= asked.at_most else ()
    wanted = set(asked.packs)
    found = [index for index in every if manifest.packs[index].id in wanted]
    if len(found) != len(wanted):
        raise Forbidden(
            "keys are given of packs that the recovery point needs, and of no others",
            hint="Try again; if it stays so, look into the agent that asked: strongroom audit.",
        )
    return found


def _record(means: Means, job_id: str, told: dict[str, Any]) -> None:
    control = means.control
    result = as_restored(told) if told.get("databases") else msgspec.convert(told, RestoreResult)
    now = control.clock.now()
    with control.database.writing() as connection:
        job = jobs.get(connection, job_id)
        status = JobStatus.COMPLETED_WITH_WARNINGS if result.warnings else JobStatus.COMPLETED
        order = {**job.order, "result": told}
        jobs.set_progress(connection, job_id, _whole(result))
        if jobs.end(connection, job_id, status, now, warnings=result.warnings, order=order):
            what = {"job": job_id, "directory": result.directory}
            point = job.order["recovery_point_id"]
            audit.append(connection, now, "service", ("restore/complete", point), what)
            new_servers.settle(connection, job, now, None)


def _whole(result: RestoreResult) -> Progress:
    return Progress(
        step="Completed",
        done_bytes=result.written_bytes,
        total_bytes=result.written_bytes,
        stored_bytes=result.fetched_bytes,
        files=result.files,
    )
