"""Roles: Microsoft.Authorization at every scope, the root among them."""

import re
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from strongroom.control.identities import role_assignments, role_definitions
from strongroom.web.api import wire_access
from strongroom.web.api.door import ANYBODY, Asked, Body, does, member
from strongroom.web.api.paging import Filter, Skip, check_filter, listed

router = APIRouter()
_ROOT = "/providers/Microsoft.Authorization"
_ROLES = "/{scope:path}" + _ROOT
_PRINCIPAL = re.compile(r"(?:principalId\s+eq\s*|assignedTo\()\s*'([^']{1,64})'", re.IGNORECASE)
_ROLE_KIND = re.compile(r"type\s+eq\s+'([A-Za-z]{1,32})'", re.IGNORECASE)
_ROLE_NAME = re.compile(r"roleName\s+eq\s+'([^']{1,128})'", re.IGNORECASE)
_SCOPED = re.compile(r"atScope(?:AndBelow)?\(\)", re.IGNORECASE)


@router.put(_ROOT + "/roleAssignments/{name}", openapi_extra=does(role_assignments.WRITE))
@router.put(_ROLES + "/roleAssignments/{name}", openapi_extra=does(role_assignments.WRITE))
def put_assignment(name: str, body: Body, call: Asked, scope: str = "") -> JSONResponse:
    """Give a role."""
    asked = member(body, "properties")
    row, is_new = role_assignments.put_assignment(
        call.control, call.caller, f"/{scope}", name, asked
    )
    answer = wire_access.role_assignment(call.control.installation.subscription_id, row)
    return JSONResponse(answer, 201 if is_new else 200)


@router.get(_ROOT + "/roleAssignments", openapi_extra=does(role_assignments.READ))
@router.get(_ROLES + "/roleAssignments", openapi_extra=does(role_assignments.READ))
def list_assignments(
    call: Asked, wanted: Filter = "", scope: str = "", skip: Skip = ""
) -> Response:
    """Assignments that count at a scope; those below it too, unless the filter says atScope()."""
    check_filter(
        wanted, "atScope(), assignedTo('...') or principalId eq '...'", _SCOPED, _PRINCIPAL
    )
    found = _PRINCIPAL.search(wanted)
    rows = role_assignments.list_assignments(
        call.control,
        call.caller,
        f"/{scope}",
        found[1].lower() if found else None,
        below="atscope()" not in wanted.lower(),
    )
    subscription = call.control.installation.subscription_id
    told = [wire_access.role_assignment(subscription, row) for row in rows]
    return listed(call, told, skip, wanted=wanted, when=True)


@router.get(_ROOT + "/roleAssignments/{name}", openapi_extra=does(role_assignments.READ))
@router.get(_ROLES + "/roleAssignments/{name}", openapi_extra=does(role_assignments.READ))
def get_assignment(name: str, call: Asked, scope: str = "") -> dict[str, Any]:
    """One assignment."""
    row = role_assignments.get_assignment(call.control, call.caller, f"/{scope}", name)
    return wire_access.role_assignment(call.control.installation.subscription_id, row)


@router.delete(_ROOT + "/roleAssignments/{name}", openapi_extra=does(role_assignments.DELETE))
@router.delete(_ROLES + "/roleAssignments/{name}", openapi_extra=does(role_assignments.DELETE))
def delete_assignment(name: str, call: Asked, scope: str = "") -> Response:
    """Take a role away."""
    row = role_assignments.delete_assignment(call.control, call.caller, f"/{scope}", name)
    if row is None:
        return Response(status_code=204)
    return JSONResponse(
        wire_access.role_assignment(call.control.installation.subscription_id, row)
    )


@router.get(_ROOT + "/roleDefinitions", openapi_extra=does(ANYBODY))
@router.get(_ROLES + "/roleDefinitions", openapi_extra=does(role_definitions.READ))
def list_definitions(call: Asked, wanted: Filter = "", scope: str = "") -> dict[str, Any]:
    """The roles that can be given at a scope."""
    check_filter(wanted, "roleName eq '...' or type eq '...'", _SCOPED, _ROLE_NAME, _ROLE_KIND)
    named, kind = _ROLE_NAME.search(wanted), _ROLE_KIND.search(wanted)
    roles = role_definitions.list_roles(
        call.control,
        call.caller,
        f"/{scope}",
        named[1] if named else None,
        kind[1] if kind else None,
    )
    subscription = call.control.installation.subscription_id
    return {"value": [wire_access.role_definition(subscription, role) for role in roles]}


@router.get(_ROOT + "/roleDefinitions/{name}", openapi_extra=does(ANYBODY))
@router.get(_ROLES + "/roleDefinitions/{name}", openapi_extra=does(role_definitions.READ))
def get_definition(name: str, call: Asked, scope: str = "") -> dict[str, Any]:
    """One role."""
    role = role_definitions.get_role(call.control, call.caller, f"/{scope}", name)
    return wire_access.role_definition(call.control.installation.subscription_id, role)


@router.put(_ROLES + "/roleDefinitions/{name}", openapi_extra=does(role_definitions.WRITE))
def put_definition(name: str, body: Body, call: Asked, scope: str) -> JSONResponse:
    """Make a role of one's own, or change it."""
    asked = member(body, "properties")
    role, is_new = role_definitions.put_role(call.control, call.caller, f"/{scope}", name, asked)
    answer = wire_access.role_definition(call.control.installation.subscription_id, role)
    return JSONResponse(answer, 201 if is_new else 200)


@router.delete(_ROLES + "/roleDefinitions/{name}", openapi_extra=does(role_definitions.DELETE))
def delete_definition(name: str, call: Asked, scope: str) -> Response:
    """Take a role of one's own out of use."""
    role = role_definitions.delete_role(call.control, call.caller, f"/{scope}", name)
    if role is None:
        return Response(status_code=204)
    answer = wire_access.role_definition(call.control.installation.subscription_id, role)
    return JSONResponse(answer)
