"""Roles: Microsoft.Authorization at every scope."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from strongroom.control import role_assignments
from strongroom.model.access import BUILT_IN
from strongroom.model.errors import NotFound
from strongroom.web.api import wire
from strongroom.web.api.door import ApiVersion, Body, Means, Who, properties_of

router = APIRouter()
_ROLES = "/{scope:path}/providers/Microsoft.Authorization"
_PRINCIPAL = re.compile(r"(?:principalId eq|assignedTo\()\s*'([^']{1,64})'")
_ROLE_NAME = re.compile(r"roleName eq '([^']{1,128})'")
Filter = Annotated[str, Query(alias="$filter", max_length=512)]


@router.put(_ROLES + "/roleAssignments/{name}")
def put_assignment(
    scope: str, name: str, control: Means, caller: Who, body: Body, version: ApiVersion
) -> JSONResponse:
    """Give a role."""
    del version
    row = role_assignments.put_assignment(control, caller, f"/{scope}", name, properties_of(body))
    return JSONResponse(
        wire.role_assignment(control.installation.subscription_id, row), status_code=201
    )


@router.get(_ROLES + "/roleAssignments")
def list_assignments(
    scope: str, control: Means, caller: Who, version: ApiVersion, wanted: Filter = ""
) -> dict[str, Any]:
    """Assignments that count at a scope, and below it."""
    del version
    found = _PRINCIPAL.search(wanted)
    principal = found[1] if found else None
    rows = role_assignments.list_assignments(control, caller, f"/{scope}", principal)
    subscription = control.installation.subscription_id
    return {"value": [wire.role_assignment(subscription, row) for row in rows]}


@router.get(_ROLES + "/roleAssignments/{name}")
def get_assignment(
    scope: str, name: str, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One assignment."""
    del version
    row = role_assignments.get_assignment(control, caller, f"/{scope}", name)
    return wire.role_assignment(control.installation.subscription_id, row)


@router.delete(_ROLES + "/roleAssignments/{name}")
def delete_assignment(
    scope: str, name: str, control: Means, caller: Who, version: ApiVersion
) -> Response:
    """Take a role away."""
    del version
    row = role_assignments.delete_assignment(control, caller, f"/{scope}", name)
    if row is None:
        return Response(status_code=204)
    return JSONResponse(wire.role_assignment(control.installation.subscription_id, row))


@router.get(_ROLES + "/roleDefinitions")
def list_definitions(
    scope: str, control: Means, caller: Who, version: ApiVersion, wanted: Filter = ""
) -> dict[str, Any]:
    """The built-in roles."""
    del scope, caller, version
    named = _ROLE_NAME.search(wanted)
    roles = [r for r in BUILT_IN.values() if named is None or r.name == named[1]]
    subscription = control.installation.subscription_id
    return {"value": [wire.role_definition(subscription, role) for role in roles]}


@router.get(_ROLES + "/roleDefinitions/{name}")
def get_definition(
    scope: str, name: str, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One role."""
    del scope, caller, version
    role = BUILT_IN.get(name.lower())
    if role is None:
        raise NotFound(f"there is no role {name[:64]}", code="RoleDefinitionDoesNotExist")
    return wire.role_definition(control.installation.subscription_id, role)
