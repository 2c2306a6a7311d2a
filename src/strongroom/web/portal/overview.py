"""The first page: two answers, and what needs somebody."""

from collections import Counter

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control import drill_rounds, protecting, rounds
from strongroom.control.footprints import footprints_of
from strongroom.control.held_jobs import holdups_of
from strongroom.control.reaches import reaches_of
from strongroom.web.portal.door import Guest, PortalRoute
from strongroom.web.portal.due import due_of

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
MOST_BOXES = 200  # more are no picture any more: then only those that need somebody
FIRST = 12
_ORDER = ("bad", "risk", "paused", "wait", "unknown", "ok")


@router.get("/")
def overview(visit: Guest) -> Response:
    """Is everything protected? Would it restore?"""
    ships = sorted(visit.fleet.ships, key=lambda ship: _ORDER.index(ship.look))
    boxes = [ship for ship in ships if len(ships) <= MOST_BOXES or ship.look != "ok"]
    running = rounds.running_jobs(visit.control, visit.caller)
    drills = drill_rounds.rounds_by_policy(visit.control, visit.caller, visit.fleet)
    due, due_later = due_of(ships, drills, visit.now)
    return visit.page(
        "overview.html",
        first=ships[:FIRST],
        footprints=footprints_of(visit.control, ships[:FIRST]),
        reaches=reaches_of(visit.control, ships[:FIRST]),
        due=due,
        due_later=due_later,
        rest=len(ships) - min(len(ships), FIRST),
        boxes=boxes[:MOST_BOXES],
        looks=Counter(ship.look for ship in ships),
        running=running,
        holdups=holdups_of(visit.control, running),
        servers=protecting.candidates(visit.control, visit.caller),
    )
