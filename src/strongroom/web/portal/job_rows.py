"""Jobs as the rows of a list: each with what may be done about it, there and then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from strongroom.control.overview import job_offers
from strongroom.control.work import jobs, rounds
from strongroom.control.work.held_jobs import Holdup, holdups_of
from strongroom.model.work.job import Job, JobKind
from strongroom.web.portal import pace
from strongroom.web.portal.door import Visit
from strongroom.web.portal.pace import Pace
from strongroom.web.portal.places import instance_path

SHOWN = 25  # under way
_OTHER_RESTORES = ("part", "load", "recovery", "in_place")  # in the order of a restore


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A job that is under way."""

    job: Job
    holdup: Holdup | None
    pace: Pace | None
    may_stop: bool


@dataclass(frozen=True, slots=True)
class Again:
    """The form that begins a job anew, and its fields; None: a link to what asks first."""

    path: str
    fields: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended."""

    job: Job
    again: Again | None


def under_way(visit: Visit, seen: Sequence[Job]) -> list[UnderWay]:
    """`seen`: jobs under way. Of those beyond the first, no pace is known."""
    control, now = visit.control, visit.control.clock.now()
    holdups = holdups_of(control, seen)
    stoppable = job_offers.may_stop(control, visit.caller, seen)
    since = {str(job.id): pace.since_when(job, now) for job in seen[:SHOWN]}
    told = jobs.lately_of(control, since)
    return [
        UnderWay(
            job=job,
            holdup=holdups.get(job.id),
            pace=pace.pace_of(job, told.get(job.id, []), now) if job.id in since else None,
            may_stop=job.id in stoppable,
        )
        for job in seen
    ]


def ended(visit: Visit, seen: Sequence[Job]) -> list[Ended]:
    """`seen`: jobs that have ended. To try again is offered beside the newest of its kind."""
    able = job_offers.may_try_again(visit.control, visit.caller, seen)
    return [Ended(job, again_of(job) if job.id in able else None) for job in seen]


def again_of(job: Job) -> Again:
    """As it was asked for the first time."""
    home = instance_path(rounds.vault_of(job), job.instance_name)
    if job.kind is JobKind.BACKUP:
        return again_of_backup(home, job.rule_name, job.order)
    if job.kind is JobKind.RESTORE:
        return Again(f"{home}/restore?{urlencode(_asked_again(job))}", None)
    if job.kind is JobKind.VERIFY:
        return Again(f"{home}/points/{job.recovery_point_id}/verify", {})
    return Again(f"{home}/drill", {"point": job.recovery_point_id or "", "again": job.id})


def _asked_again(job: Job) -> dict[str, str]:
    """What the wizard is told beforehand: the point; the directory, where all of it goes there."""
    told = {"point": job.recovery_point_id or ""}
    if not any(job.order.get(name) for name in _OTHER_RESTORES):
        told["directory"] = str(job.order.get("target_directory") or "")
    return {name: value for name, value in told.items() if value}


def again_of_backup(home: str, rule: str, order: Mapping[str, Any]) -> Again:
    """Of the instance whose page is `home`: by the same rule, as much and of the same kind."""
    fields = {"rule": rule, "full": "on" if order.get("full") else ""}
    fields["backup_type"] = order.get("backup_type", "")
    return Again(f"{home}/backup", {name: value for name, value in fields.items() if value})
