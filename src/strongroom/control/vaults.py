"""Backup vaults."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog import audit, resources
from strongroom.catalog.tables import vaults as table
from strongroom.control import identity, long_running
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.control.subscriptions import need_group
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound
from strongroom.model.ids import OperationId

READ = "Microsoft.DataProtection/backupVaults/read"
WRITE = "Microsoft.DataProtection/backupVaults/write"


def put_vault(
    control: Control, caller: Caller, ref: VaultRef, body: dict[str, Any], request_key: str
) -> tuple[sa.RowMapping, OperationId, bool]:
    """Create or change a vault. Returns it, the operation, and whether it is new."""
    arm.check_name("vault", ref.name)
    with control.database.writing() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, ref.resource_group)
        found = resources.vault(connection, ref.resource_group, ref.name)
        now = control.clock.now()
        if found is None:
            _create(control, connection, ref, body)
            what = "vault/create"
        else:
            _change(connection, found, body)
            what = "vault/change"
        audit.append(connection, now, caller.principal_id, (what, scope), {"body": body})
        operation = long_running.find_by_request(connection, request_key)
        if operation is None:
            operation = long_running.add_ended(
                control, connection, caller, ("vault", scope), {}, request_key
            )
        return need_vault(connection, ref), operation, found is None


def _create(
    control: Control, connection: sa.Connection, ref: VaultRef, body: dict[str, Any]
) -> None:
    row = {
        "id": control.chance.bytes(16).hex(),
        "resource_group_key": ref.resource_group.lower(),
        "name": ref.name,
        "name_key": ref.name.lower(),
        "location": str(body.get("location") or control.installation.location),
        "principal_id": identity.create_vault_identity(control, connection, ref.name),
        "properties": body.get("properties") or {},
        "tags": body.get("tags") or {},
        "state": "Succeeded",
        "version": 1,
        "created_at": control.clock.now(),
    }
    resources.add(connection, table, row)


def _change(connection: sa.Connection, found: sa.RowMapping, body: dict[str, Any]) -> None:
    values: dict[str, Any] = {"version": found["version"] + 1}
    if body.get("tags") is not None:
        values["tags"] = body["tags"]
    if body.get("properties"):
        values["properties"] = {**found["properties"], **body["properties"]}
    resources.change(connection, table, found["id"], values)


def get_vault(control: Control, caller: Caller, ref: VaultRef) -> sa.RowMapping:
    """One vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ, scope)
        return need_vault(connection, ref)


def list_vaults(control: Control, caller: Caller, group: str | None) -> list[sa.RowMapping]:
    """The vaults of a resource group, or of the subscription."""
    with control.database.reading() as connection:
        subscription = control.installation.subscription_id
        scope = (
            arm.subscription_id_of(subscription)
            if group is None
            else arm.group_id_of(subscription, group)
        )
        require(control, connection, caller, READ, scope)
        return resources.vaults_of(connection, group)


def need_vault(connection: sa.Connection, ref: VaultRef) -> sa.RowMapping:
    """The vault, or NotFound."""
    found = resources.vault(connection, ref.resource_group, ref.name)
    if found is None:
        raise NotFound(
            f"The Resource 'Microsoft.DataProtection/backupVaults/{ref.name[:50]}' under resource "
            f"group '{ref.resource_group[:90]}' was not found.",
            code="ResourceNotFound",
        )
    return found
