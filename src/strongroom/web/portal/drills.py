"""Drills: whether points restore, when that was tried last, and the evidence of each try."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.overview import drill_rounds
from strongroom.control.points import recovery_points
from strongroom.model.errors import VaultError
from strongroom.web.portal import render
from strongroom.web.portal.door import Guest, PortalRoute, Visit
from strongroom.web.portal.instances import find_ship
from strongroom.web.portal.places import INSTANCE, InVault

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_DRILL = INSTANCE + "/drills/{drill}"
_NEEDY = ("failed", "old")


@router.get("/drills")
def list_drills(visit: Guest) -> Response:
    """What failed and what is late, then every instance, then what was tried."""
    return visit.page("drills.html", **facts_of(visit))


def facts_of(visit: Visit) -> dict[str, Any]:
    """As drills_live.html takes it."""
    seen = drill_rounds.see_rounds(visit.control, visit.caller, visit.fleet)
    needy = [each for each in seen.rounds if each.late or each.ship.proof in _NEEDY]
    return {"rounds": seen.rounds, "needy": needy, "drills": seen.drills}


@router.get(_DRILL)
def drill(name: str, drill: str, ref: InVault, visit: Guest) -> Response:
    """One drill: what was done, counted and found, fit to be printed."""
    found = drill_rounds.get_drill(visit.control, visit.caller, ref, name, drill)
    try:
        point = recovery_points.get_recovery_point(
            visit.control, visit.caller, ref, name, found.recovery_point_id
        )
    except VaultError:  # it is over by now, or not theirs to look at; the drill was all the same
        point = None
    return visit.page(
        "drill.html",
        ship=find_ship(visit, ref, name),
        drill=found,
        point=point,
        verify_key=visit.control.custody().verify_key,
    )


@router.get(_DRILL + "/evidence.json")
def evidence(name: str, drill: str, ref: InVault, visit: Guest) -> Response:
    """The signed object in storage, and beside it all that was found, whose digest it states."""
    found = drill_rounds.get_drill(visit.control, visit.caller, ref, name, drill)
    named = {"Content-Disposition": f'attachment; filename="drill-{found.id}.json"'}
    told = {
        "drill": found.id,
        "recoveryPoint": found.recovery_point_id,
        "beganAt": found.began_at.format_iso(),
        "endedAt": found.ended_at.format_iso(),
        "verdict": found.verdict,
        "evidence": found.evidence_name,
        "evidenceBlake3": found.evidence_blake3.hex(),
        "statement": found.statement,
        "result": found.result,
    }
    return JSONResponse(told, headers={**render.HEADERS, **named})
