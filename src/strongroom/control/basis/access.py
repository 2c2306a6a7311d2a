"""May they? Every use case asks here, in the transaction in which it acts."""

import sqlalchemy as sa

from strongroom.catalog.identities import principals, role_assignments, role_definitions
from strongroom.catalog.resources import servers
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.errors import Forbidden, NotFound, Precondition
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller, RoleDefinition

_SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"
_TYPES = {"user": "User", "group": "Group"}


def may(connection: sa.Connection, who: Caller | str, action: str, scope: str) -> bool:
    """Whether any role of a caller, their groups', or a principal allows the action there."""
    return any(access.allows(role, action) for role in _roles(connection, who, scope))


def may_with_data(connection: sa.Connection, principal_id: str, action: str, scope: str) -> bool:
    """The same of what is done to data: no management role has that, not even Owner."""
    roles = _roles(connection, principal_id, scope)
    return any(access.allows_data(role, action) for role in roles)


def _roles(connection: sa.Connection, who: Caller | str, scope: str) -> list[RoleDefinition]:
    held = [
        row["role_id"]
        for row in role_assignments.list_of_principals(connection, _ids(who))
        if access.scope_contains(row["scope"], scope)
    ]
    own = [role_id for role_id in held if role_id not in access.BUILT_IN]
    known = access.BUILT_IN | (role_definitions.by_ids(connection, own) if own else {})
    return [known[role_id] for role_id in held if role_id in known]


def _ids(who: Caller | str) -> tuple[str, ...]:
    return who.ids if isinstance(who, Caller) else (who,)


def require(
    control: Control, connection: sa.Connection, caller: Caller, action: str, scope: str
) -> None:
    """Forbidden when the caller may not; NotFound when they may not even look."""
    roles = _roles(connection, caller, scope)
    if any(access.allows(role, action) for role in roles):
        return
    control.refusals.note(caller, action, scope, control.clock.now())
    if not any(access.allows(role, access.look_action_of(action)) for role in roles):
        raise NotFound(
            f"{scope} is not there, or not for you to see",
            hint="see that the id is right; if it is, have somebody give you a role there",
            code="ResourceNotFound",
        )
    raise Forbidden(
        f"{caller.principal_id} may not do {action} at {scope}",
        hint=_asking(connection, caller, action, scope),
        code="AuthorizationFailed",
    )


def _asking(connection: sa.Connection, caller: Caller, action: str, scope: str) -> str:
    """The command that gives a caller the least role that would do."""
    role = access.least_role(action)
    found = principals.find(connection, caller.principal_id)
    kind = _TYPES.get(found["kind"] if found else "", "ServicePrincipal")
    return granting(role, scope, caller.principal_id, kind)


def may_see_subscription(connection: sa.Connection, caller: Caller) -> bool:
    """Whoever holds a role anywhere in the subscription sees that it is there."""
    return bool(role_assignments.list_of_principals(connection, caller.ids))


def missing_vault_roles(
    control: Control, connection: sa.Connection, server_id: str, principal_id: str
) -> list[tuple[RoleDefinition, str]]:
    """(role, scope) that a vault's identity still needs before it may back up a server."""
    server = servers.by_id(connection, server_id)
    if server is None:
        raise NotFound("the server is not registered any more")
    subscription = control.installation.subscription_id
    server_scope = arm.server_id_of(subscription, server["resource_group"], server["name"])
    group_scope = arm.group_id_of(subscription, server["resource_group"])
    needed = (
        (access.LONG_TERM_RETENTION, f"{_SERVER}/startLtrBackup/action", server_scope),
        (access.READER, "Microsoft.Resources/subscriptions/resourceGroups/read", group_scope),
    )
    return [
        (role, scope)
        for role, action, scope in needed
        if not may(connection, principal_id, action, scope)
    ]


def check_vault_identity(
    control: Control, connection: sa.Connection, server_id: str, principal_id: str
) -> None:
    """Precondition that names every missing role, its scope, and the command that grants it."""
    missing = missing_vault_roles(control, connection, server_id, principal_id)
    if not missing:
        return
    names = "; ".join(f"{role.name!r} at {scope}" for role, scope in missing)
    commands = [granting(role, scope, principal_id) for role, scope in missing]
    raise Precondition(
        f"the vault's identity {principal_id} lacks {names}",
        hint=commands[0],
        code=access.MISSING_ROLES,
        facts={
            "actions": commands,
            "missing": [{"roleId": role.id, "scope": scope} for role, scope in missing],
        },
    )


def granting(
    role: RoleDefinition, scope: str, principal_id: str, kind: str = "ServicePrincipal"
) -> str:
    """The command that gives a principal, such as a vault's identity, a role."""
    return (
        f"az role assignment create --assignee-object-id {principal_id} "
        f'--assignee-principal-type {kind} --role "{role.name}" --scope {scope}'
    )
