"""Who holds which role, and where."""

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.identities import principals, role_assignments, role_definitions, users
from strongroom.control.identities.people import names_of
from strongroom.control.overview.offers import offers
from strongroom.model import arm
from strongroom.model.errors import NotFound
from strongroom.model.identities import access as rules
from strongroom.model.identities.access import RoleDefinition
from strongroom.model.ids import uuid4
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.rights import matrix_of

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


_WHO = {"ServicePrincipal": "program or vault", "User": "person", "Group": "group"}


@router.get("/access")
def assignments(visit: Guest) -> Response:
    """By who, then by where."""
    return _page(visit, "", "")


@router.post("/access/add")
def add(visit: Guest, form: Sent) -> Response:
    """Somebody who signs in here, with a role everywhere; the password is shown this once."""
    control, name = visit.control, form.text("name")
    role = next((each for each in rules.BUILT_IN if each == form.text("role")), "")
    if not role:
        raise NotFound("there is no such role", hint="choose one of the list")
    principal, password = users.add_user(control, visit.caller, name)
    scope = arm.subscription_id_of(control.installation.subscription_id)
    asked = {"roleDefinitionId": role, "principalId": principal, "principalType": "User"}
    guid = str(uuid4(control.chance))
    role_assignments.put_assignment(control, visit.caller, scope, guid, asked)
    return _page(visit, name, password)


def _page(visit: Visit, added: str, password: str) -> Response:
    scope = arm.subscription_id_of(visit.control.installation.subscription_id)
    rows = role_assignments.list_assignments(visit.control, visit.caller, scope, None)
    names = names_of(visit.control, {row["principal_id"] for row in rows})
    known = _roles_of(visit, scope)
    held = [(row["role_id"], row["principal_id"]) for row in rows]
    found = sorted(rows, key=lambda row: (names[row["principal_id"]].lower(), row["scope"]))
    acts = {
        "remove": role_assignments.DELETE,
        "add": principals.WRITE,
        "give": role_assignments.WRITE,
    }
    may = offers(visit.control, visit.caller, scope, acts)
    return visit.page(
        "access.html",
        rows=found,
        names=names,
        roles={role.id: role.name for role in known},
        built_in={role.id: role.name for role in rules.BUILT_IN.values()},
        matrix=matrix_of(held, visit.caller.ids, known),
        kinds=_WHO,
        may=may,
        added=added,
        password=password,
    )


def _roles_of(visit: Visit, scope: str) -> list[RoleDefinition]:
    """Those of one's own making too, for whoever may read them."""
    may = offers(visit.control, visit.caller, scope, {"read": role_definitions.READ})
    if not may["read"]:
        return list(rules.BUILT_IN.values())
    return role_definitions.list_roles(visit.control, visit.caller, scope, None, None)


@router.post("/access/remove")
def remove(visit: Guest, form: Sent) -> Response:
    """Take a role away."""
    scope, name = form.text("scope"), form.text("assignment")
    role_assignments.delete_assignment(visit.control, visit.caller, scope, name)
    return visit.go("/access")
