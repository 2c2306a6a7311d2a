"""May they? Every use case asks here, in the transaction in which it acts."""

import sqlalchemy as sa

from strongroom.catalog import principals, resources
from strongroom.control.control import Control
from strongroom.model import access, arm
from strongroom.model.access import Caller, RoleDefinition
from strongroom.model.errors import Forbidden, NotFound, Precondition


def may(connection: sa.Connection, principal_id: str, action: str, scope: str) -> bool:
    """Whether any of the principal's roles allows the action at the scope."""
    return any(
        access.scope_contains(row["scope"], scope)
        and access.allows(access.BUILT_IN[row["role_id"]], action)
        for row in principals.assignments_of(connection, principal_id)
        if row["role_id"] in access.BUILT_IN
    )


def require(
    control: Control, connection: sa.Connection, caller: Caller, action: str, scope: str
) -> None:
    """Forbidden when the caller may not; NotFound when they may not even look."""
    del control
    if may(connection, caller.principal_id, action, scope):
        return
    if not may(connection, caller.principal_id, f"{action.rpartition('/')[0]}/read", scope):
        raise NotFound(f"{scope} is not there, or not for you to see", code="ResourceNotFound")
    raise Forbidden(
        f"{caller.principal_id} may not do {action} at {scope}",
        hint="ask for a role that has this action at this scope",
        code="AuthorizationFailed",
    )


def missing_vault_roles(
    control: Control, connection: sa.Connection, server_id: str, principal_id: str
) -> list[tuple[RoleDefinition, str]]:
    """(role, scope) that a vault's identity still needs before it may back up a server."""
    server = resources.server_by_id(connection, server_id)
    if server is None:
        raise NotFound("the server is not registered any more")
    subscription = control.installation.subscription_id
    server_scope = arm.server_id_of(subscription, server["resource_group"], server["name"])
    group_scope = arm.group_id_of(subscription, server["resource_group"])
    provider = "Microsoft.DBforPostgreSQL/flexibleServers"
    needed = (
        (access.LONG_TERM_RETENTION, f"{provider}/startLtrBackup/action", server_scope),
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
    commands = [
        f"az role assignment create --assignee-object-id {principal_id} "
        f'--assignee-principal-type ServicePrincipal --role "{role.name}" --scope {scope}'
        for role, scope in missing
    ]
    raise Precondition(
        f"the vault's identity {principal_id} lacks {names}",
        hint=commands[0],
        code="UserErrorMissingRequiredPermissions",
        facts={"actions": commands},
    )
