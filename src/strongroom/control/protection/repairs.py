"""What is done to an instance that is there: would a change of it do, is its protection whole."""

from typing import NoReturn

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances as catalog
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import check_vault_identity, require
from strongroom.control.basis.control import Control
from strongroom.control.protection import instances
from strongroom.control.protection.instances import Asked
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Precondition, VaultError
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.protection.protection_state import CONFIGURING, FAILED

_HOME = "Microsoft.DataProtection/backupVaults/backupInstances"
VALIDATE = f"{_HOME}/validateForModifyBackup/action"
SYNC = f"{_HOME}/sync/action"
REHYDRATE = f"{_HOME}/rehydrate/action"
_SYNC_TYPES = ("", "default", "forceresync")


def validate_change(
    control: Control, caller: Caller, vault: VaultRef, name: str, asked: Asked, request_key: str
) -> OperationId:
    """Could the instance be changed to this now? The operation holds the answer."""
    asked = msgspec.structs.replace(asked, only_tried=True)
    scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
    with control.database.writing() as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, VALIDATE, scope)
        owner = need_vault(connection, vault)
        before = instances.need_instance(connection, owner["id"], name)
        what = ("validateForModifyBackup", scope)
        operation = long_running.begin_operation(control, connection, caller, what, request_key)
        now = control.clock.now()
        try:
            found = instances.examine(control, connection, caller, vault, asked, before)
            instances.check_same_server(before, found)
        except VaultError as error:
            long_running.end_operation(connection, operation, now, error=error.to_dict())
        else:
            long_running.end_operation(connection, operation, now, result={"jobId": None})
        return operation


def sync_instance(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    name: str,
    asked: tuple[str, str],
) -> OperationId:
    """Try again what protection failed at; where it is whole there is nothing to do.

    `asked` = (syncType, key of the request).
    """
    sync_type, request_key = asked
    if sync_type.lower() not in _SYNC_TYPES:
        raise arm.invalid(f"{sync_type[:40]!r} is no syncType", "send Default or ForceResync")
    scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, SYNC, scope)
        owner = need_vault(connection, vault)
        found = instances.need_instance(connection, owner["id"], name)
        what = ("sync", scope)
        operation = long_running.begin_operation(control, connection, caller, what, request_key)
        if found["state"] == FAILED:
            _try_again(control, connection, caller, (scope, owner, found), operation)
        else:
            long_running.end_operation(connection, operation, control.clock.now(), result={})
        return operation


def _try_again(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[str, sa.RowMapping, sa.RowMapping],
    operation: OperationId,
) -> None:
    scope, owner, found = what
    check_vault_identity(control, connection, found["server_id"], owner["principal_id"])
    audit.append(connection, control.clock.now(), caller, ("instance/sync", scope))
    catalog.change(connection, found["id"], state=CONFIGURING, error=None)
    instances.configure(control, connection, found["id"], operation)


def refuse_rehydrate(control: Control, caller: Caller, vault: VaultRef, name: str) -> NoReturn:
    """There is no archive tier that a point would have to come back from."""
    scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
    with control.database.reading() as connection:
        require(control, connection, caller, REHYDRATE, scope)
        instances.need_instance(connection, need_vault(connection, vault)["id"], name)
    raise Precondition(
        "Rehydration is not supported for the datasource type "
        "Microsoft.DBforPostgreSQL/flexibleServers: no recovery point lies in an archive tier.",
        hint="restore the point as it is",
        code="UserErrorRehydrationNotSupported",
    )
