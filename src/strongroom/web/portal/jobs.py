"""Jobs: what is under way, what has ended, and one with its steps."""

import json
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.overview.offers import offers
from strongroom.control.points import backups
from strongroom.control.resources import vault_roles
from strongroom.control.work import jobs, rounds
from strongroom.control.work.held_jobs import holdups_of
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import VaultError, from_dict
from strongroom.model.job import UNCANCELLABLE, Job, JobFilter, JobKind, JobStatus
from strongroom.model.job_sample import lines_of
from strongroom.web.portal import render, throughput
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import InVault, instance_scope, job_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_JOB = "/jobs/{group}/{vault}/{job_id}"
SHOWN = 100


@router.get("/jobs")
def list_jobs(
    visit: Guest,
    status: Annotated[str, Query(max_length=30)] = "",
    kind: Annotated[str, Query(max_length=30)] = "",
) -> Response:
    """Under way, and the newest that have ended; of one `status` or `kind` where it is named."""
    status = status if status in set(JobStatus) else ""
    kind = kind if kind in set(JobKind) else ""
    ended = rounds.ended_jobs(visit.control, visit.caller, wanted=JobFilter(status, kind))
    running = rounds.running_jobs(visit.control, visit.caller)
    busy = {each.instance_id for each in running}
    return visit.page(
        "jobs.html",
        running=running,
        holdups=holdups_of(visit.control, running),
        waiting=[
            (ship, ship.id in busy)
            for ship in visit.fleet.ships
            if ship.next_at and ship.next_at <= visit.now
        ],
        ended=ended[:SHOWN],
        ended_count=len(ended),
        most_jobs=rounds.MOST_JOBS,
        status=status,
        kind=kind,
        next_at=min((ship.next_at for ship in visit.fleet.ships if ship.next_at), default=None),
    )


@router.get(_JOB)
def job(job_id: str, ref: InVault, visit: Guest) -> Response:
    """One job; while it is under way the page follows it."""
    found = jobs.get_job(visit.control, visit.caller, ref, job_id)
    samples = jobs.samples_of(visit.control, found)
    scope = arm.job_id_of(visit.control.installation.subscription_id, ref, found.id)
    may = offers(visit.control, visit.caller, scope, {"cancel": jobs.CANCEL})
    return visit.page(
        "job.html",
        job=found,
        holdups=holdups_of(visit.control, [found]),
        may=may,
        again=_may_try_again(visit, ref, found),
        lacks=vault_roles.lacks_of(visit.control, visit.caller, ref, _error_of(found)),
        cancellable=_is_cancellable(found),
        speed=throughput.speed_of(found, samples, visit.now),
        lines=lines_of(found, samples),
    )


@router.get(_JOB + "/log.jsonl")
def log(job_id: str, ref: InVault, visit: Guest) -> Response:
    """Its log as a file: a JSON object a line."""
    found = jobs.get_job(visit.control, visit.caller, ref, job_id)
    lines = lines_of(found, jobs.samples_of(visit.control, found))
    told = [
        {"at": line.at.format_iso(), "level": line.level, "event": line.event, **line.facts}
        for line in lines
    ]
    text = "".join(json.dumps({**each, "job": found.id}) + "\n" for each in told)
    named = {"Content-Disposition": f'attachment; filename="job-{found.id}.jsonl"'}
    return Response(text, 200, {**render.HEADERS, **named}, "application/jsonl")


def _error_of(found: Job) -> VaultError | None:
    return None if found.error is None else from_dict(found.error)


@router.post(_JOB + "/roles")
def give(job_id: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """The vault's identity gets what this job has failed for want of."""
    del form
    error = _error_of(jobs.get_job(visit.control, visit.caller, ref, job_id))
    if error is not None and error.facts.get("missing"):
        vault_roles.give(visit.control, visit.caller, ref, error)
    return visit.go(job_path(ref, job_id))


def _may_try_again(visit: Visit, ref: VaultRef, found: Job) -> bool:
    """Whether a backup that came to nothing may be begun anew by whoever looks."""
    ended = {JobStatus.FAILED, JobStatus.CANCELLED}
    if found.kind is not JobKind.BACKUP or found.status not in ended:
        return False
    if all(ship.id != found.instance_id for ship in visit.fleet.ships):
        return False
    scope = instance_scope(visit.control.installation.subscription_id, ref, found.instance_name)
    return offers(visit.control, visit.caller, scope, {"again": backups.ACTION})["again"]


def _is_cancellable(found: Job) -> bool:
    return found.status is JobStatus.IN_PROGRESS and found.kind not in UNCANCELLABLE


@router.post(_JOB + "/cancel")
def cancel(job_id: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Its agent is told, and may write no more."""
    del form
    jobs.cancel_job(visit.control, visit.caller, ref, job_id, "")
    return visit.go(job_path(ref, job_id))
