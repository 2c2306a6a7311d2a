"""Alerts: what needs somebody now, and what has ended by itself."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.identities.people import names_of
from strongroom.control.overview import alerts
from strongroom.control.overview.offers import offers
from strongroom.model import arm
from strongroom.model.oversight.alert import LOOKS
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


@router.get("/alerts")
def list_alerts(visit: Guest) -> Response:
    """The worst first."""
    return visit.page("alerts.html", **facts_of(visit))


def facts_of(visit: Visit) -> dict[str, Any]:
    """As alerts_live.html takes it."""
    found = alerts.list_alerts(visit.control, visit.caller)
    there = [alert for alert in found if alert.ended_at is None]
    order = list(LOOKS)
    people = {alert.acknowledged_by for alert in found if alert.acknowledged_by}
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    return {
        "there": sorted(there, key=lambda alert: order.index(alert.severity)),
        "ended": [alert for alert in found if alert.ended_at is not None],
        "names": names_of(visit.control, people),
        "looks": LOOKS,
        "may": offers(visit.control, visit.caller, scope, {"change": alerts.CHANGE}),
    }


@router.post("/alerts/{alert}")
def acknowledge(alert: str, visit: Guest, form: Sent) -> Response:
    """I see to it."""
    del form
    alerts.acknowledge(visit.control, visit.caller, alert)
    return visit.go("/alerts")
