"""Give and take roles."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog import audit, principals
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.model import access
from strongroom.model.access import Caller
from strongroom.model.errors import Conflict, Invalid, NotFound

READ = "Microsoft.Authorization/roleAssignments/read"
WRITE = "Microsoft.Authorization/roleAssignments/write"
DELETE = "Microsoft.Authorization/roleAssignments/delete"


def put_assignment(
    control: Control, caller: Caller, scope: str, name: str, properties: dict[str, Any]
) -> dict[str, Any]:
    """Give a principal a role at a scope."""
    role_id = str(properties.get("roleDefinitionId") or "").rstrip("/").rpartition("/")[2].lower()
    principal_id = str(properties.get("principalId") or "")
    if role_id not in access.BUILT_IN or not principal_id:
        raise Invalid(
            f"roleDefinitionId {role_id[:64]!r} is no role, or principalId is missing",
            hint="list the roles: GET .../roleDefinitions",
            code="RoleDefinitionDoesNotExist",
        )
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, scope)
        for row in principals.assignments_of(connection, principal_id):
            if row["role_id"] == role_id and row["scope_key"] == scope.lower():
                if row["id"] == name.lower():
                    return dict(row)
                raise Conflict("The role assignment already exists.", code="RoleAssignmentExists")
        now = control.clock.now()
        assignment = {
            "id": name.lower(),
            "scope": scope,
            "scope_key": scope.lower(),
            "role_id": role_id,
            "principal_id": principal_id,
            "principal_type": str(properties.get("principalType") or "ServicePrincipal"),
            "created_at": now,
            "created_by": caller.principal_id,
        }
        principals.assign(connection, assignment)
        told = {"role": access.BUILT_IN[role_id].name, "principal": principal_id}
        audit.append(connection, now, caller.principal_id, ("role/assign", scope), told)
    return assignment


def list_assignments(
    control: Control, caller: Caller, scope: str, principal_id: str | None
) -> list[sa.RowMapping]:
    """Assignments at, above or below a scope; of one principal when asked."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
        return [
            row
            for row in principals.assignments(connection)
            if (principal_id is None or row["principal_id"] == principal_id)
            and (
                access.scope_contains(row["scope"], scope)
                or access.scope_contains(scope, row["scope"])
            )
        ]


def get_assignment(control: Control, caller: Caller, scope: str, name: str) -> sa.RowMapping:
    """One assignment by its GUID."""
    for row in list_assignments(control, caller, scope, None):
        if row["id"] == name.lower():
            return row
    raise NotFound(f"there is no role assignment {name[:64]}", code="RoleAssignmentNotFound")


def delete_assignment(
    control: Control, caller: Caller, scope: str, name: str
) -> sa.RowMapping | None:
    """Take a role away; None when it was not there."""
    with control.database.writing() as connection:
        require(control, connection, caller, DELETE, scope)
        for row in principals.assignments(connection):
            if row["id"] == name.lower():
                principals.remove_assignment(connection, row["id"])
                now = control.clock.now()
                audit.append(connection, now, caller.principal_id, ("role/remove", scope))
                return row
    return None
