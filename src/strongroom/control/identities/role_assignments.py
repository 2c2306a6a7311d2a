"""Give and take roles."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.identities import principals
from strongroom.catalog.identities import role_assignments as catalog
from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import guards
from strongroom.control.basis import guarded
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.identities.role_definitions import need_role
from strongroom.model import arm
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller, RoleDefinition
from strongroom.model.resources import guard

READ = "Microsoft.Authorization/roleAssignments/read"
WRITE = "Microsoft.Authorization/roleAssignments/write"
DELETE = "Microsoft.Authorization/roleAssignments/delete"
_TYPES = {"user": "User", "group": "Group"}


def put_assignment(
    control: Control, caller: Caller, scope: str, name: str, properties: dict[str, Any]
) -> tuple[sa.RowMapping, bool]:
    """Give a principal a role at a scope. Returns the assignment, and whether it is new."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    guid = arm.read_guid(name, "role assignment")
    role_id = arm.pick_text(properties, "roleDefinitionId").rstrip("/").rpartition("/")[2].lower()
    principal_id = arm.pick_text(properties, "principalId").lower()
    with guarded.writing(control) as connection:
        require(control, connection, caller, WRITE, scope)
        role = need_role(connection, role_id)
        _check_assignable(role, scope)
        if not principal_id:
            raise arm.invalid("the body names no principal", "send properties.principalId")
        principal = principals.find(connection, principal_id)
        if principal is None:
            raise Invalid(
                f"Principal {principal_id[:64]} does not exist in this directory.",
                hint="use identity.principalId of the vault, or a service principal's object id",
                code="PrincipalNotFound",
            )
        kind = _kind(principal, role, arm.pick_text(properties, "principalType"))
        known = _known(connection, guid, (scope.lower(), role_id, principal_id))
        if known is not None:
            return known, False
        if role == access.MUA_OPERATOR:
            _approve_approver(control, connection, caller, scope, principal_id)
        now = control.clock.now()
        assignment = {
            "id": guid,
            "scope": scope,
            "scope_key": scope.lower(),
            "role_id": role_id,
            "principal_id": principal_id,
            "principal_type": kind,
            "description": arm.pick_text(properties, "description") or None,
            "created_at": now,
            "created_by": caller.principal_id,
        }
        catalog.add(connection, assignment)
        told = {"role": role.name, "principal": principal_id}
        audit.append(connection, now, caller, ("role/assign", scope), told, after=told)
        found = catalog.find(connection, guid)
        assert found is not None  # noqa: S101 - written a line above
        return found, True


def _check_assignable(role: RoleDefinition, scope: str) -> None:
    if not role.assignable(scope):
        raise Invalid(
            f"the role {role.name!r} cannot be given at {scope}",
            hint=f"give it at or below {', '.join(role.scopes)}, or widen its assignableScopes",
            code="RoleAssignmentScopeNotAssignableToRoleDefinition",
        )


def _kind(principal: sa.RowMapping, role: RoleDefinition, asked: str) -> str:
    """The principal's type as Azure names it. Invalid when the caller believes another."""
    kind = _TYPES.get(principal["kind"], "ServicePrincipal")
    if asked and asked.lower() != kind.lower():
        raise Invalid(
            f"the principal {principal['id']} has type {kind!r}, not {asked[:40]!r}",
            hint=f"send principalType {kind}, or leave it out",
            code="UnmatchedPrincipalType",
        )
    if kind == "Group" and role == access.MUA_OPERATOR:
        raise Invalid(
            "whoever approves does so in person, not as one of a group",
            hint="give the role to each of them",
        )
    return kind


def _approve_approver(
    control: Control, connection: sa.Connection, caller: Caller, scope: str, principal_id: str
) -> None:
    """Whoever could make somebody approve at a guard could approve: that guard decides."""
    for row in guards.in_use(connection):
        place = guarded.guard_id_of(control, row)
        if access.scope_contains(scope, place):
            ask = Ask(guard.ADD_APPROVER, scope, {"principal": principal_id})
            guarded.at_guard(control, connection, caller, row, ask)


def check_last_approver(connection: sa.Connection, control: Control, row: sa.RowMapping) -> None:
    """Conflict when nobody could approve any more at a guard that vaults stand under."""
    if row["role_id"] != access.MUA_OPERATOR.id:
        return
    for found in guards.in_use(connection):
        place = guarded.guard_id_of(control, found)
        if not access.scope_contains(row["scope"], place):
            continue
        others = guarded.approvers(connection, place) - {row["principal_id"]}
        if not others:
            raise Conflict(
                f"{row['principal_id']} is the last who may approve at {place}",
                hint=f"give somebody else the role {access.MUA_OPERATOR.name!r} there first",
            )


def _known(
    connection: sa.Connection, guid: str, wish: tuple[str, str, str]
) -> sa.RowMapping | None:
    """The same assignment under the same name; Conflict when name or content is taken."""
    scope_key, role_id, principal_id = wish
    named = catalog.find(connection, guid)
    if named is not None:
        if (named["scope_key"], named["role_id"], named["principal_id"]) == wish:
            return named
        raise Conflict(
            "a role assignment of this name exists with another role, scope or principal",
            hint="use a new GUID",
            code="RoleAssignmentUpdateNotPermitted",
        )
    for row in catalog.list_of_principal(connection, principal_id):
        if row["role_id"] == role_id and row["scope_key"] == scope_key:
            raise Conflict(
                "The role assignment already exists.",
                hint=f"nothing is to be done: the role is given already, as {row['id']}",
                code="RoleAssignmentExists",
            )
    return None


def list_assignments(
    control: Control, caller: Caller, scope: str, principal_id: str | None, *, below: bool = True
) -> list[sa.RowMapping]:
    """Assignments at and above a scope, and below it when asked; of one principal when named."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
        return [
            row
            for row in catalog.list_all(connection)
            if principal_id in {None, row["principal_id"]}
            and (
                access.scope_contains(row["scope"], scope)
                or (below and access.scope_contains(scope, row["scope"]))
            )
        ]


def get_assignment(control: Control, caller: Caller, scope: str, name: str) -> sa.RowMapping:
    """One assignment by the scope at which it was made, and its GUID."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
        row = catalog.find(connection, name.lower())
    if row is None or row["scope_key"] != scope.lower():
        raise NotFound(
            f"there is no role assignment {name[:64]} at {scope}", code="RoleAssignmentNotFound"
        )
    return row


def delete_assignment(
    control: Control, caller: Caller, scope: str, name: str
) -> sa.RowMapping | None:
    """Take a role away; None when it was not there."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    with control.database.writing() as connection:
        require(control, connection, caller, DELETE, scope)
        row = catalog.find(connection, name.lower())
        # The permission counts for this scope alone, so the assignment must be one of this scope.
        if row is None or row["scope_key"] != scope.lower():
            return None
        check_last_approver(connection, control, row)
        catalog.remove(connection, row["id"])
        now = control.clock.now()
        told = {"role": row["role_id"], "principal": row["principal_id"]}
        audit.append(connection, now, caller, ("role/remove", scope), told, before=told)
        return row
