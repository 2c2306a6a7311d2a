"""Servers and the agents that look after them; a new agent is invited with one line."""

from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Instant

from strongroom.control.overview.offers import offers
from strongroom.control.protection import protecting
from strongroom.control.resources import servers
from strongroom.control.work import inviting, rounds
from strongroom.model import arm
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


@router.get("/servers")
def list_servers(visit: Guest) -> Response:
    """Is each heard, ready, protected?"""
    return _page(visit, "")


@router.post("/servers/invite")
def invite(visit: Guest, form: Sent) -> Response:
    """A token for one agent: shown this once."""
    del form
    return _page(visit, inviting.invite(visit.control, visit.caller))


def _page(visit: Visit, token: str) -> Response:
    control, caller = visit.control, visit.caller
    agents = {row["id"]: row for row in rounds.list_agents(control, caller)}
    rows = [
        (row, servers.facts_of(row), _is_heard(row["seen_at"], visit.now))
        for row in servers.list_servers(control, caller, None)
    ]
    scope = arm.subscription_id_of(control.installation.subscription_id)
    return visit.page(
        "servers.html",
        rows=rows,
        agents=[(row, _is_heard(row["seen_at"], visit.now)) for row in agents.values()],
        by_id=agents,
        protected={ship.server: ship for ship in visit.fleet.ships},
        told=[each for each in protecting.candidates(control, caller) if not each.group],
        may=offers(
            control, caller, scope, {"invite": inviting.ACTION, "protect": protecting.ACTION}
        ),
        token=token,
    )


def _is_heard(at: Instant | None, now: Instant) -> bool:
    return at is not None and (now - at).total("seconds") <= servers.LATELY_SECONDS
