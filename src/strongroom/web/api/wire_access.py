"""Roles as ARM's JSON."""

from typing import Any

from strongroom.model.identities.access import RoleDefinition
from strongroom.web.api.wire import Row, instant


def role_definition(subscription: str, role: RoleDefinition) -> dict[str, Any]:
    """A role, built in or made here."""
    return {
        "id": f"/subscriptions/{subscription}/providers/Microsoft.Authorization"
        f"/roleDefinitions/{role.id}",
        "name": role.id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": role.kind,
            "description": role.description or role.name,
            "assignableScopes": list(role.scopes),
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": list(role.not_data_actions),
                }
            ],
        },
    }


def role_assignment(subscription: str, row: Row) -> dict[str, Any]:
    """A role assignment."""
    home = f"{row['scope'].rstrip('/')}/providers/Microsoft.Authorization"
    return {
        "id": f"{home}/roleAssignments/{row['id']}",
        "name": row["id"],
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "scope": row["scope"],
            "roleDefinitionId": f"/subscriptions/{subscription}/providers/"
            f"Microsoft.Authorization/roleDefinitions/{row['role_id']}",
            "principalId": row["principal_id"],
            "principalType": row["principal_type"],
            "condition": None,
            "conditionVersion": None,
            "delegatedManagedIdentityResourceId": None,
            "description": row["description"],
            "createdOn": instant(row["created_at"]),
            "createdBy": row["created_by"],
            "updatedOn": instant(row["created_at"]),
            "updatedBy": row["created_by"],
        },
    }
