"""Who holds which role, and where."""

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control import role_assignments
from strongroom.control.offers import offers
from strongroom.control.people import names_of
from strongroom.model import access as rules
from strongroom.model import arm
from strongroom.web.portal.door import Guest, PortalRoute, Sent

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


@router.get("/access")
def assignments(visit: Guest) -> Response:
    """By who, then by where."""
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    rows = role_assignments.list_assignments(visit.control, visit.caller, scope, None)
    names = names_of(visit.control, {row["principal_id"] for row in rows})
    roles = {role.id: role.name for role in rules.BUILT_IN.values()}
    found = sorted(rows, key=lambda row: (names[row["principal_id"]].lower(), row["scope"]))
    may = offers(visit.control, visit.caller, scope, {"remove": role_assignments.DELETE})
    return visit.page("access.html", rows=found, names=names, roles=roles, scope=scope, may=may)


@router.post("/access/remove")
def remove(visit: Guest, form: Sent) -> Response:
    """Take a role away."""
    scope, name = form.text("scope"), form.text("assignment")
    role_assignments.delete_assignment(visit.control, visit.caller, scope, name)
    return visit.go("/access")
