"""Recovery points: all of an instance, and one with its contents, proofs and holds."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.basis import long_running
from strongroom.control.overview import costs
from strongroom.control.overview.offers import offers
from strongroom.control.points import drills, holds, recovery_points, verifications
from strongroom.control.protection import deletions
from strongroom.control.restore import restores
from strongroom.model.hold import read_hold
from strongroom.model.recovery_point import RecoveryPoint
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


@router.get(INSTANCE + "/points")
def list_points(
    name: str,
    ref: InVault,
    visit: Guest,
    tag: Annotated[str, Query(max_length=100)] = "",
    kind: Annotated[str, Query(max_length=30)] = "",
) -> Response:
    """Newest first, of one `tag` or `kind` where it is named; and what can be had back."""
    points = recovery_points.list_recovery_points(visit.control, visit.caller, ref, name)
    return visit.page(
        "points.html",
        ship=find_ship(visit, ref, name),
        points=[each for each in points if tag in {"", _tag(each)} and kind in {"", each.kind}],
        all_of=len(points),
        tags=sorted({_tag(each) for each in points}),
        kinds=sorted({each.kind for each in points}),
        tag=tag,
        kind=kind,
        deleted=deletions.list_deleted_points(visit.control, visit.caller, ref, name),
    )


def _tag(point: RecoveryPoint) -> str:
    return point.tag or "Default"


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
