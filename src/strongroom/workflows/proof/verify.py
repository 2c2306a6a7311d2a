"""A verification, told as it happens: the control plane proves the map, the agent what it maps.

Damage is written to the point, and to every other one that needs what is damaged, before the job
fails with it. Only a look at all of a point takes its mark away.
"""

from typing import Any

import msgspec
import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.datastore.reading.verify import DAMAGE, verify_manifest
from strongroom.datastore.statements.receipt import Receipt
from strongroom.durable.engine import Story
from strongroom.model.errors import Corrupt, StoreError, VaultError
from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import Progress
from strongroom.model.work.verify import Damage, VerifyOrder, VerifyResult
from strongroom.workflows.backup.dump import chunk_key_of
from strongroom.workflows.basis import agent_work
from strongroom.workflows.basis.means import Means
from strongroom.workflows.proof.damage import ask_for_damage, mark

_SHOWN = 5  # places in the message; the facts have them all
_HINT = (
    "Take another backup while the server lives; then mend or replace the storage endpoint's "
    "disk, bring the object back from a copy of the storage if there is one, and verify again."
)

log = structlog.get_logger()


def verify(means: Means, story: Story, job_id: str) -> None:
    """The durable story of one verification."""
    try:
        story.step("plan", _plan, means, job_id)
        told = agent_work.run_on_agent(means, story, job_id)
        story.step("judge", _judge, means, job_id, told)
        story.step("record", _record, means, job_id, told)
    except VaultError as error:
        story.step("fail", agent_work.fail_job, means, job_id, error.to_dict())


def _job(means: Means, job_id: str) -> tuple[Job, str]:
    """The job, and its point's id."""
    with means.control.database.reading() as connection:
        job = jobs.get(connection, job_id)
    return job, str(job.recovery_point_id)


def _plan(means: Means, job_id: str) -> None:
    """Receipt and manifest are what was committed; then the agent is asked for the rest."""
    agent_work.begin_step(means, job_id, "Plan")
    job, point_id = _job(means, job_id)
    _prove_map(means, job, point_id)
    with means.control.database.reading() as connection:
        found = protection.by_id(connection, job.instance_id)
        point = recovery_points.get(connection, job.instance_id, point_id)
    order = VerifyOrder(
        job_id=job.id,
        recovery_point_id=point.id,
        instance_id=job.instance_id,
        manifest_name=f"p/{point.id}.manifest",
        chunk_key=chunk_key_of(means, job.instance_id) if point.kind == LOGICAL else b"",
    )
    agent_work.begin_step(means, job_id, "Read and check")
    agent_work.offer(means, agent_work.operation_of(job, found, "verify", order))


def _prove_map(means: Means, job: Job, point_id: str) -> None:
    name = f"p/{point_id}.receipt"
    try:
        receipt = _receipt(means, job.instance_id, point_id)
        name = f"p/{point_id}.manifest"
        verify_manifest(means.open_point(job.instance_id, point_id)[1], receipt)
    except DAMAGE as error:
        damage = Damage(name=name, problem=error.message)
        _mark(means, job, [damage])
        raise _failure(point_id, [damage]) from error


def _receipt(means: Means, instance_id: str, point_id: str) -> Receipt:
    raw = means.storage.container(instance_id).read(f"p/{point_id}.receipt")
    return means.keyring.signing.public.check(raw)


def _judge(means: Means, job_id: str, told: dict[str, Any]) -> None:
    """Damage is marked and told; what the store still calls damaged it reads again."""
    job, point_id = _job(means, job_id)
    result = msgspec.convert(told, VerifyResult)
    if not result.damage:
        result.damage = _what_the_store_says(means, job, point_id)
    if result.damage:
        _mark(means, job, result.damage)
        raise _failure(point_id, result.damage)


def _what_the_store_says(means: Means, job: Job, point_id: str) -> list[Damage]:
    """The agent has read all of it well. What the scrub had found damaged is read once more."""
    view = means.storage.account_view(job.instance_id)
    receipt = _receipt(means, job.instance_id, point_id)
    needed = {pack.name for pack in receipt.packs}
    needed |= {f"p/{point_id}.receipt", f"p/{point_id}.manifest"}
    doubted = sorted(needed & set(view.damaged()))
    return [
        Damage(name=found.name, problem="the storage endpoint reads other bytes than were written")
        for found in view.digests(doubted)
        if found.corrupt or found.missing
    ]


def _mark(means: Means, job: Job, damage: list[Damage]) -> None:
    names = sorted({each.name for each in damage})
    mark(means, job.instance_id, names)
    try:  # the store learns of it too; when it cannot now, its own scrub will
        list(means.storage.account_view(job.instance_id).digests(names))
        ask_for_damage(means, job.instance_id)
    except StoreError as error:
        log.warning("verify.store_not_told", instance=job.instance_id, why=error.message)


def _failure(point_id: str, damage: list[Damage]) -> Corrupt:
    first = damage[0]
    shown = first.places[:_SHOWN]
    lost = f": lost are {'; '.join(shown)}" if shown else ""
    more = len(first.places) - len(shown) + first.more
    lost += f" and {more} more places" if more else ""
    others = f"; {len(damage) - 1} more objects are damaged" if len(damage) > 1 else ""
    return Corrupt(
        f"recovery point {point_id} is damaged: {first.name}: {first.problem}{lost}{others}",
        hint=_HINT,
        facts={"damage": msgspec.to_builtins(damage)},
    )


def _record(means: Means, job_id: str, told: dict[str, Any]) -> None:
    """The point is proven, as of now, and whatever it was marked with is over."""
    control = means.control
    job, point_id = _job(means, job_id)
    result = msgspec.convert(told, VerifyResult)
    now = control.clock.now()
    with control.database.writing() as connection:
        proven = {"verified_at": now.format_iso(), "damaged": None}
        recovery_points.note_facts(connection, point_id, proven)
        jobs.set_progress(connection, job_id, _whole(result))
        if jobs.end(connection, job_id, JobStatus.COMPLETED, now):
            what = {"job": job_id, "bytes": result.checked_bytes}
            audit.append(connection, now, "service", ("recoveryPoint/verify", point_id), what)
    ask_for_damage(means, job.instance_id)


def _whole(result: VerifyResult) -> Progress:
    return Progress(
        step="Completed",
        done_bytes=result.checked_bytes,
        total_bytes=result.checked_bytes,
        stored_bytes=result.fetched_bytes,
        files=result.files,
    )
