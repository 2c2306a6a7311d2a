"""Roles: the built-in ones, and those that people make."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.identities import role_assignments
from strongroom.catalog.identities import role_definitions as catalog
from strongroom.catalog.oversight import audit
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller, RoleDefinition

READ = "Microsoft.Authorization/roleDefinitions/read"
WRITE = "Microsoft.Authorization/roleDefinitions/write"
DELETE = "Microsoft.Authorization/roleDefinitions/delete"


def list_roles(
    control: Control, caller: Caller, scope: str, name: str | None, kind: str | None
) -> list[RoleDefinition]:
    """The roles that can be given at a scope; of that name, or of that kind, when it is given.

    At the root those are the built-in ones, which whoever is signed in may know: clients look a
    role up there by its name.
    """
    scope = arm.read_scope(scope, control.installation.subscription_id)
    with control.database.reading() as connection:
        if scope != arm.ROOT:
            require(control, connection, caller, READ, scope)
        found = [*access.BUILT_IN.values(), *catalog.list_all(connection)]
    wanted = name.lower() if name is not None else None
    kind = kind.lower() if kind is not None else None
    return [
        role
        for role in found
        if role.assignable(scope)
        and wanted in {None, role.name.lower()}
        and kind in {None, role.kind.lower()}
    ]


def get_role(control: Control, caller: Caller, scope: str, role_id: str) -> RoleDefinition:
    """One role by its GUID."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    with control.database.reading() as connection:
        if scope != arm.ROOT or role_id.lower() not in access.BUILT_IN:
            require(control, connection, caller, READ, scope)
        return need_role(connection, role_id.lower())


def need_role(connection: sa.Connection, role_id: str) -> RoleDefinition:
    """The role, or NotFound."""
    role = access.BUILT_IN.get(role_id) or catalog.find(connection, role_id)
    if role is None:
        raise NotFound(
            f"there is no role definition {role_id[:64]!r}",
            hint="list the roles: GET .../roleDefinitions",
            code="RoleDefinitionDoesNotExist",
        )
    return role


def put_role(
    control: Control, caller: Caller, scope: str, name: str, properties: dict[str, Any]
) -> tuple[RoleDefinition, bool]:
    """Make a custom role, or change it. Returns it, and whether it is new.

    Whoever does so must have the right to at each scope at which the role can be given, now and
    before: otherwise it would reach where they do not.
    """
    subscription = control.installation.subscription_id
    scope = arm.read_scope(scope, subscription)
    guid = arm.read_guid(name, "role definition")
    with control.database.writing() as connection:
        require(control, connection, caller, WRITE, scope)
        wish = access.read_role(guid, properties, subscription)
        _check_built_in(guid)
        before = catalog.find(connection, guid)
        for each in {*wish.scopes, *(before.scopes if before else ())}:
            require(control, connection, caller, WRITE, each)
        _check_free(connection, wish)
        _check_held(connection, wish)
        now = control.clock.now()
        row = _columns(wish) | {"updated_at": now, "updated_by": caller.principal_id}
        if before is None:
            made = {"id": guid, "created_at": now, "created_by": caller.principal_id}
            catalog.add(connection, row | made)
        else:
            catalog.change(connection, guid, **row)
        was = {} if before is None else _columns(before)
        what = ("role/define", guid)
        audit.append(connection, now, caller, what, before=was, after=_columns(wish))
        return wish, before is None


def delete_role(control: Control, caller: Caller, scope: str, name: str) -> RoleDefinition | None:
    """A custom role that nobody holds goes; None when it was not there."""
    scope = arm.read_scope(scope, control.installation.subscription_id)
    guid = name.lower()
    with control.database.writing() as connection:
        require(control, connection, caller, DELETE, scope)
        _check_built_in(guid)
        role = catalog.find(connection, guid)
        if role is None:
            return None
        for each in role.scopes:
            require(control, connection, caller, DELETE, each)
        if role_assignments.list_of_role(connection, guid):
            raise Conflict(
                f"the role {role.name!r} is held by somebody",
                hint="take it from them first: DELETE their role assignments",
                code="RoleDefinitionHasAssignments",
            )
        catalog.remove(connection, guid)
        what, now = ("role/undefine", guid), control.clock.now()
        audit.append(connection, now, caller, what, before=_columns(role))
        return role


def _check_built_in(guid: str) -> None:
    if guid in access.BUILT_IN:
        raise Conflict(
            f"{access.BUILT_IN[guid].name!r} is a built-in role",
            hint="make a role of your own, under a new GUID",
            code="RoleDefinitionIsBuiltIn",
        )


def _check_free(connection: sa.Connection, wish: RoleDefinition) -> None:
    """A role is asked for by its name: there is one of each."""
    for role in (*access.BUILT_IN.values(), *catalog.list_all(connection)):
        if role.name.lower() == wish.name.lower() and role.id != wish.id:
            raise Conflict(
                f"there is a role {role.name!r} already",
                hint="choose another roleName",
                code="RoleDefinitionWithSameNameExists",
            )


def _check_held(connection: sa.Connection, wish: RoleDefinition) -> None:
    for row in role_assignments.list_of_role(connection, wish.id):
        if not wish.assignable(row["scope"]):
            raise Conflict(
                f"the role is held at {row['scope']}, which assignableScopes no longer names",
                hint="take it away there first, or keep that scope",
                code="RoleDefinitionHasAssignments",
            )


def _columns(role: RoleDefinition) -> dict[str, Any]:
    return {
        "name": role.name,
        "name_key": role.name.lower(),
        "description": role.description,
        "actions": list(role.actions),
        "not_actions": list(role.not_actions),
        "data_actions": list(role.data_actions),
        "not_data_actions": list(role.not_data_actions),
        "assignable_scopes": list(role.scopes),
    }
