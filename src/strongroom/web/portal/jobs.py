"""Jobs: what is under way, what has ended, and one with its steps."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from strongroom.control.overview import job_offers
from strongroom.control.overview.arriving import how_changes_arrive
from strongroom.control.resources import vault_roles
from strongroom.control.work import jobs, rounds
from strongroom.model.errors import VaultError, from_dict
from strongroom.model.work.job import Job, JobFilter, JobKind, JobStatus
from strongroom.model.work.job_sample import lines_of
from strongroom.web.portal import job_rows, render, throughput
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.places import InVault, job_path

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_JOB = "/jobs/{group}/{vault}/{job_id}"
SHOWN = 100
NAMES = 1000  # that a field offers


def wanted_of(
    status: Annotated[str, Query(max_length=30)] = "",
    kind: Annotated[str, Query(max_length=30)] = "",
    instance: Annotated[str, Query(max_length=200)] = "",
) -> JobFilter:
    """What a link asks for; words that are none of ours ask for nothing."""
    known = status if status in set(JobStatus) else "", kind if kind in set(JobKind) else ""
    return JobFilter(*known, instance.strip())


@router.get("/jobs")
def list_jobs(visit: Guest, wanted: Annotated[JobFilter, Depends(wanted_of)]) -> Response:
    """Under way, and the newest that have ended; of one `status`, `kind` or `instance`."""
    running = those_of(rounds.running_jobs(visit.control, visit.caller), wanted)
    return visit.page(
        "jobs.html",
        running=job_rows.under_way(visit, running),
        most_jobs=rounds.MOST_JOBS,
        status=wanted.status,
        kind=wanted.kind,
        instance=wanted.instance,
        names=sorted({ship.name for ship in visit.fleet.ships})[:NAMES],
        arriving=how_changes_arrive(visit.control, visit.fleet.ships),
        **ended_of(visit, wanted),
        **waiting_of(visit, running),
    )


def those_of(running: Sequence[Job], wanted: JobFilter) -> list[Job]:
    """Of those under way the ones of the instance that is asked for: that alone narrows them."""
    name = wanted.instance.lower()
    return [job for job in running if not name or job.instance_name.lower() == name]


def ended_of(visit: Visit, wanted: JobFilter) -> dict[str, Any]:
    """The newest that have ended, and how many of the newest there are."""
    found = rounds.ended_jobs(visit.control, visit.caller, wanted=wanted)
    return {"ended": job_rows.ended(visit, found[:SHOWN]), "count": len(found)}


def waiting_of(visit: Visit, running: Sequence[Job]) -> dict[str, Any]:
    """Whose backup is due and not begun, and whether it is busy; else when the next begins."""
    busy = {each.instance_id for each in running}
    planned = [ship for ship in visit.fleet.ships if ship.next_at]
    due = [ship for ship in planned if ship.next_at and ship.next_at <= visit.now]
    return {
        "waiting": [(ship, ship.id in busy) for ship in due],
        "next_at": min((ship.next_at for ship in planned if ship.next_at), default=None),
    }


@router.get(_JOB)
def job(job_id: str, ref: InVault, visit: Guest) -> Response:
    """One job; while it is under way the page follows it."""
    found = jobs.get_job(visit.control, visit.caller, ref, job_id)
    samples = jobs.samples_of(visit.control, found)
    live = found.status is JobStatus.IN_PROGRESS
    able = job_offers.may_try_again(visit.control, visit.caller, [found], newest=False)
    return visit.page(
        "job.html",
        job=found,
        row=job_rows.under_way(visit, [found])[0] if live else None,
        again=job_rows.again_of(found) if able else None,
        lacks=vault_roles.lacks_of(visit.control, visit.caller, ref, _error_of(found)),
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


@router.post(_JOB + "/cancel")
def cancel(job_id: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Its agent is told, and may write no more."""
    del form
    jobs.cancel_job(visit.control, visit.caller, ref, job_id, "")
    return visit.go(job_path(ref, job_id))
