"""Recovery points: all of an instance, and one with its contents, proofs and holds."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from whenever import Date, Instant, Time

from strongroom.control.basis import long_running
from strongroom.control.overview import costs
from strongroom.control.overview.offers import offers
from strongroom.control.points import drills, holds, recovery_points, verifications
from strongroom.control.protection import deletions
from strongroom.control.restore import restores
from strongroom.model.errors import Invalid
from strongroom.model.page import SIZE as PAGE_SIZE
from strongroom.model.points.hold import read_hold
from strongroom.model.points.recovery_point import Shelf
from strongroom.web.portal.door import Guest, PortalRoute, Sent
from strongroom.web.portal.instances import find_ship
from strongroom.web.portal.places import (
    INSTANCE,
    InVault,
    instance_path,
    instance_scope,
    job_path,
)

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_POINT = INSTANCE + "/points/{point}"
_ACTS = {
    "restore": restores.RESTORE,
    "verify": verifications.ACTION,
    "drill": drills.ACTION,
    "hold": holds.WRITE,
    "release": holds.DELETE,
    "delete": deletions.DELETE_POINT,
}


def _asked(
    tag: Annotated[str, Query(max_length=100)] = "",
    kind: Annotated[str, Query(max_length=30)] = "",
    until: Annotated[str, Query(max_length=30)] = "",
) -> dict[str, str]:
    return {"tag": tag, "kind": kind, "until": until.strip()}


@router.get(INSTANCE + "/points")
def list_points(
    name: str,
    ref: InVault,
    visit: Guest,
    asked: Annotated[dict[str, str], Depends(_asked)],
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """Newest first, a page at a time, of one `tag` or `kind`; and what can be had back.

    `until`: no younger ones than of that day.
    """
    shelf = Shelf(asked["tag"], asked["kind"], _end_of(asked["until"], visit.zone))
    place = (visit.control, visit.caller)
    browsed = recovery_points.browse_recovery_points(*place, (ref, name), shelf, page)
    return visit.page(
        "points.html",
        ship=find_ship(visit, ref, name),
        browsed=browsed,
        asked=asked,
        query=urlencode({name: value for name, value in asked.items() if value}),
        page=page,
        pages=-(-browsed.count // PAGE_SIZE),
        deleted=deletions.list_deleted_points(*place, ref, name),
    )


def _end_of(day: str, zone: str) -> Instant | None:
    """When a day ends there; None for no day."""
    if not day:
        return None
    try:
        return Date.parse_iso(day).add(days=1).at(Time(0)).assume_tz(zone).to_instant()
    except ValueError as error:
        raise Invalid(f"{day!r} is no day", hint="write it as 2026-11-22") from error


@router.get(_POINT)
def point(name: str, point: str, ref: InVault, visit: Guest) -> Response:
    """What lies in it, what was proved of it, what keeps it."""
    place = (visit.control, visit.caller, ref, name)
    found = recovery_points.get_recovery_point(*place, point)
    scope = instance_scope(visit.control.installation.subscription_id, ref, name)
    may = offers(visit.control, visit.caller, scope, _ACTS)
    kept = holds.list_holds(visit.control, visit.caller, (ref, name))
    return visit.page(
        "point.html",
        ship=find_ship(visit, ref, name),
        point=found,
        share=costs.share_of_point(visit.control, found.id),
        drills=drills.list_drills(*place, found.id),
        holds=[row for row in kept if row["point_id"] in (None, found.id)],
        may=may,
    )


@router.post(_POINT + "/verify")
def verify(name: str, point: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Have every byte of it read."""
    del form
    control, caller = visit.control, visit.caller
    operation = verifications.trigger_verification(control, caller, ref, name, point, "")
    row = long_running.get_operation(control, caller, operation)
    return visit.go(job_path(ref, row["result"]["jobId"]))


@router.post(_POINT + "/hold")
def hold(name: str, point: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Keep it, whatever its age, until somebody lets go."""
    asked = {"reason": form.text("reason"), "recoveryPointId": point}
    wish = read_hold(form.text("hold"), asked)
    holds.set_hold(visit.control, visit.caller, (ref, name), wish, "")
    return visit.go(f"{instance_path(ref, name)}/points/{point}")


@router.post(_POINT + "/release")
def release(name: str, point: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Let go of a hold; a second person may be asked first."""
    holds.release_hold(visit.control, visit.caller, (ref, name), form.text("hold"), "")
    return visit.go(f"{instance_path(ref, name)}/points/{point}")


@router.post(_POINT + "/delete")
def delete(name: str, point: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Delete it softly: it can be had back for as long as the vault says."""
    del form
    deletions.delete_point(visit.control, visit.caller, (ref, name), point, "")
    return visit.go(f"{instance_path(ref, name)}/points")


@router.post(_POINT + "/undelete")
def undelete(name: str, point: str, ref: InVault, visit: Guest, form: Sent) -> Response:
    """Have it back."""
    del form
    deletions.undelete_point(visit.control, visit.caller, (ref, name), point, "")
    return visit.go(f"{instance_path(ref, name)}/points/{point}")
