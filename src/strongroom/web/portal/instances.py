"""All instances, one instance, and what can be done with it at once."""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.basis import long_running
from strongroom.control.overview import finding, fleet
from strongroom.control.overview.fleet import Ship
from strongroom.control.overview.footprints import footprints_of
from strongroom.control.overview.offers import offers
from strongroom.control.overview.reaches import reaches_of
from strongroom.control.points import backups, drills, recovery_points
from strongroom.control.protection import instances, protection_states
from strongroom.control.restore import restores
from strongroom.control.wal import restorable_ranges, wal_timeline
from strongroom.control.work import jobs, rounds
from strongroom.model.errors import NotFound
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.protection_state import ACTS
from strongroom.model.work.drill import Assertion, assertions_of
from strongroom.web.portal import job_rows
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.pictures import pictures_of
from strongroom.web.portal.places import (
    INSTANCE,
    InVault,
    instance_path,
    instance_scope,
    job_path,
)
from strongroom.web.portal.reach import axis_of

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
PAGE = 50
JOBS = POINTS = 12
_ACTIONS = {
    "backup": backups.ACTION,
    "restore": restores.RESTORE,
    "drill": drills.ACTION,
    "find": restorable_ranges.FIND,
    **{act.name: protection_states.action_of(act) for act in ACTS},
}


@router.get("/instances")
def list_instances(
    visit: Guest,
    find: Annotated[str, Query(max_length=100)] = "",
    show: Annotated[str, Query(max_length=20)] = "all",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Found by a word of the name, server, database, vault, policy or tags, by what needs

    somebody; and points and jobs by their ids.
    """
    word = find.lower().strip()
    held = finding.holding(visit.control, word)
    found = [ship for ship in visit.fleet.ships if _fits(ship, word, show, held)]
    start = (page - 1) * PAGE
    shown = found[start : start + PAGE]
    footprints = footprints_of(visit.control, shown)
    return visit.page(
        "instances_part.html" if visit.is_part else "instances.html",
        ships=shown,
        footprints=footprints,
        axis=axis_of(footprints.values(), visit.now),
        reaches=reaches_of(visit.control, shown),
        pages=-(-len(found) // PAGE),
        page=page,
        count=len(found),
        hits=finding.find_by_id(visit.control, {s.id: s for s in visit.fleet.ships}, word),
        held=held,
        find=find,
        show=show,
    )


def _fits(ship: Ship, word: str, show: str, held: Collection[str]) -> bool:
    if show == "needs" and ship.look not in {"bad", "risk"}:
        return False
    tags = " ".join(f"{key}={value}" for key, value in ship.tags.items())
    text = f"{ship.name} {ship.server} {ship.vault.name} {ship.policy} {tags}".lower()
    return word in text or ship.id in held


def find_ship(visit: Visit, vault: InVault, name: str) -> Ship:
    """The instance of a page."""
    for ship in visit.fleet.ships:
        if ship.vault.is_same(vault) and ship.name.lower() == name.lower():
            return ship
    raise NotFound(f"there is no backup instance {name[:100]!r} in this vault")


@router.get(INSTANCE)
def instance(name: str, ref: InVault, visit: Guest) -> Response:
    """Is it protected? Would it restore? And its ten years."""
    row = instances.get_instance(visit.control, visit.caller, ref, name)
    place = (visit.control, visit.caller, ref, name)
    points = recovery_points.outline_recovery_points(*place, POINTS)
    scope = instance_scope(visit.control.installation.subscription_id, ref, name)
    ship = find_ship(visit, ref, name)
    may = offers(visit.control, visit.caller, scope, _ACTIONS)
    tried = drills.list_drills(visit.control, visit.caller, ref, name)
    running, log = rounds.running_jobs(visit.control, visit.caller), None
    ended = rounds.ended_jobs(visit.control, visit.caller, row["id"], JOBS)
    if may["find"]:
        log = wal_timeline.find_second(*place, None, points)
    return visit.page(
        "instance.html",
        ship=ship,
        row=row,
        settings=settings_of(row["properties"]),
        points=points,
        drills=tried,
        log=log,
        running=job_rows.under_way(
            visit, [job for job in running if job.instance_id == row["id"]]
        ),
        ended=job_rows.ended(visit, ended),
        may=may,
        acts=[act for act in ACTS if row["state"] in act.before and row["state"] != act.after],
        pictures=pictures_of(visit, row["policy"], ship, points, tried, log) if points else None,
    )


@router.post(INSTANCE + "/backup")
def back_up(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """A backup on demand, by the rule that is named, or the policy's first."""
    row = instances.get_instance(visit.control, visit.caller, ref, name)
    rule = form.text("rule") or fleet.first_rule(visit.control, row["policy_id"])
    operation = backups.trigger_backup(
        visit.control,
        visit.caller,
        ref,
        name,
        rule_name=rule,
        tag_override=None,
        request_key="",
        full=form.has("full"),
        backup_type=form.text("backup_type"),
    )
    return _to_job(visit, ref, operation)


@router.post(INSTANCE + "/drill")
def drill(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Try a point: the one that is named, or the newest."""
    point = form.text("point")
    if not point:
        place = (visit.control, visit.caller, ref, name)
        points = recovery_points.outline_recovery_points(*place, 1)
        if not points:
            raise NotFound("there is no recovery point to try yet", hint="take a backup first")
        point = points[0].id
    asked = _assertions(visit, ref, form.text("again")) if form.has("again") else []
    operation = drills.trigger_drill(visit.control, visit.caller, ref, (name, point), asked, "")
    return _to_job(visit, ref, operation)


def _assertions(visit: Visit, ref: InVault, job: str) -> list[Assertion]:
    """What that drill had to find true: it is tried again by the same measure."""
    found = jobs.get_job(visit.control, visit.caller, ref, job)
    return assertions_of(found.order.get("assertions") or [])


@router.post(INSTANCE + "/state")
def change_state(name: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Stop, suspend or resume protection."""
    act = next((each for each in ACTS if each.name == form.text("act")), None)
    if act is None:
        raise NotFound("this is nothing that can be done with an instance")
    protection_states.change_state(visit.control, visit.caller, ref, name, act, "")
    return visit.go(instance_path(ref, name))


def _to_job(visit: Visit, ref: InVault, operation: str) -> Response:
    row = long_running.get_operation(visit.control, visit.caller, operation)
    return visit.go(job_path(ref, row["result"]["jobId"]))
