"""Backup policies: read at the door, echoed as they came."""

import json
from typing import Any

import sqlalchemy as sa

from strongroom.catalog import audit, resources
from strongroom.catalog.tables import policies as table
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.control.vaults import need_vault
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound
from strongroom.model.policy import parse_policy

READ = "Microsoft.DataProtection/backupVaults/backupPolicies/read"
WRITE = "Microsoft.DataProtection/backupVaults/backupPolicies/write"


def put_policy(
    control: Control, caller: Caller, vault: VaultRef, name: str, properties: dict[str, Any]
) -> sa.RowMapping:
    """Create or change a policy. Points that exist keep what they were promised."""
    arm.check_name("policy", name)
    parse_policy(properties)
    text = json.dumps(properties)
    with control.database.writing() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, WRITE, scope)
        owner = need_vault(connection, vault)
        found = resources.policy(connection, owner["id"], name)
        now = control.clock.now()
        if found is None:
            row = {
                "id": control.chance.bytes(16).hex(),
                "vault_id": owner["id"],
                "name": name,
                "name_key": name.lower(),
                "properties": text,
                "version": 1,
                "created_at": now,
            }
            resources.add(connection, table, row)
        elif found["properties"] != text:
            values = {"properties": text, "version": found["version"] + 1}
            resources.change(connection, table, found["id"], values)
        audit.append(connection, now, caller.principal_id, ("policy/write", scope), properties)
        return need_policy(connection, owner["id"], name)


def get_policy(control: Control, caller: Caller, vault: VaultRef, name: str) -> sa.RowMapping:
    """One policy."""
    with control.database.reading() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        return need_policy(connection, need_vault(connection, vault)["id"], name)


def list_policies(control: Control, caller: Caller, vault: VaultRef) -> list[sa.RowMapping]:
    """The policies of a vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, READ, scope)
        return resources.policies_of(connection, need_vault(connection, vault)["id"])


def need_policy(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping:
    """The policy, or NotFound."""
    found = resources.policy(connection, vault_id, name)
    if found is None:
        raise NotFound(
            f"there is no backup policy {name[:150]!r} in this vault",
            hint="create it first: PUT .../backupPolicies/NAME",
            code="ResourceNotFound",
        )
    return found
