"""Backup instances: a server protected by a policy in a vault."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog import audit, protection, resources
from strongroom.catalog.tables import instances as table
from strongroom.control import long_running, scheduling
from strongroom.control.access import check_vault_identity, require
from strongroom.control.control import Control
from strongroom.control.policies import need_policy
from strongroom.control.servers import check_ready, need_server
from strongroom.control.vaults import need_vault
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict, Invalid, NotFound, VaultError
from strongroom.model.ids import OperationId
from strongroom.model.policy import parse_policy

READ = "Microsoft.DataProtection/backupVaults/backupInstances/read"
WRITE = "Microsoft.DataProtection/backupVaults/backupInstances/write"
VALIDATE = "Microsoft.DataProtection/backupVaults/validateForBackup/action"


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """What a request for protection names."""

    group: str
    server: str
    policy: str
    properties: dict[str, Any]


def read_instance(body: Mapping[str, Any]) -> Asked:
    """ARM's BackupInstance, read at the door; keys in any case, `resourceID` or `resourceId`."""
    source = _mapping(body, "dataSourceInfo")
    policy = _mapping(body, "policyInfo")
    group, server = arm.read_server_id(str(_get(source, "resourceID") or ""))
    return Asked(
        group=group,
        server=server,
        policy=arm.read_policy_id(str(_get(policy, "policyId") or "")),
        properties=dict(body),
    )


def _get(body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON
    return next((v for k, v in body.items() if k.lower() == name.lower()), None)


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _get(body, name)
    if not isinstance(found, Mapping):
        raise Invalid(
            f"{name} is missing",
            hint=f"send properties.{name} as an object",
            code="BMSUserErrorInvalidInput",
        )
    return found


def validate_instance(
    control: Control, caller: Caller, vault: VaultRef, asked: Asked, request_key: str
) -> OperationId:
    """Could this server be protected now? The operation holds the answer."""
    with control.database.writing() as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, VALIDATE, scope)
        operation = long_running.begin_operation(
            control, connection, caller, ("validateForBackup", scope), request_key
        )
        now = control.clock.now()
        try:
            _examine(control, connection, vault, asked, "")
        except VaultError as error:
            long_running.end_operation(connection, operation, now, error=error.to_dict())
        else:
            long_running.end_operation(connection, operation, now, result={"jobId": None})
        return operation


def _examine(
    control: Control, connection: sa.Connection, vault: VaultRef, asked: Asked, name: str
) -> tuple[sa.RowMapping, sa.RowMapping, sa.RowMapping]:
    owner = need_vault(connection, vault)
    policy = need_policy(connection, owner["id"], asked.policy)
    server = need_server(connection, asked.group, asked.server)
    taken = resources.instance_of_server(connection, server["id"])
    if taken is not None and taken["name_key"] != name.lower():
        raise Conflict(
            f"server {server['name']} is protected already, by instance {taken['name']}",
            hint="use that instance, or change its policy",
            code="UserErrorDppDatasourceAlreadyProtected",
        )
    check_vault_identity(control, connection, server["id"], owner["principal_id"])
    check_ready(server)
    return owner, policy, server


def put_instance(
    control: Control, caller: Caller, vault: VaultRef, name: str, asked: Asked, request_key: str
) -> tuple[sa.RowMapping, OperationId, bool]:
    """Protect a server, or change its policy. Returns the row, the operation, whether new."""
    arm.check_name("instance", name)
    with control.database.writing() as connection:
        scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, WRITE, scope)
        owner, policy, server = _examine(control, connection, vault, asked, name)
        found = resources.instance(connection, owner["id"], name)
        known = long_running.find_by_request(connection, request_key)
        if known is not None and found is not None:
            return found, known, False
        operation = long_running.begin_operation(
            control, connection, caller, ("backupInstance", scope), request_key
        )
        now = control.clock.now()
        audit.append(connection, now, caller.principal_id, ("instance/write", scope))
        if found is None:
            instance_id = control.chance.bytes(16).hex()
            row = {
                "id": instance_id,
                "vault_id": owner["id"],
                "name": name,
                "name_key": name.lower(),
                "server_id": server["id"],
                "policy_id": policy["id"],
                "properties": asked.properties,
                "tags": {},
                "state": "ConfiguringProtection",
                "created_at": now,
            }
            resources.add(connection, table, row)
            _configure(control, connection, instance_id, operation)
        elif found["state"] == "ConfiguringProtectionFailed":
            protection.set_state(connection, found["id"], "ConfiguringProtection")
            _configure(control, connection, found["id"], operation)
        else:
            values = {"policy_id": policy["id"], "properties": asked.properties}
            resources.change(connection, table, found["id"], values)
            rules = parse_policy(policy["properties"])
            scheduling.plan_instance(control, connection, found["id"], rules)
            long_running.end_operation(connection, operation, now, result={})
        return need_instance(connection, owner["id"], name), operation, found is None


def _configure(
    control: Control, connection: sa.Connection, instance_id: str, operation: OperationId
) -> None:
    control.jobs.enqueue(
        connection, "configure-protection", f"configure:{operation}", instance_id, operation
    )


def get_instance(control: Control, caller: Caller, vault: VaultRef, name: str) -> sa.RowMapping:
    """One backup instance."""
    with control.database.reading() as connection:
        scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        return need_instance(connection, need_vault(connection, vault)["id"], name)


def list_instances(control: Control, caller: Caller, vault: VaultRef) -> list[sa.RowMapping]:
    """The backup instances of a vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, READ, scope)
        return resources.instances_of(connection, need_vault(connection, vault)["id"])


def need_instance(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping:
    """The instance, or NotFound."""
    found = resources.instance(connection, vault_id, name)
    if found is None:
        raise NotFound(
            f"there is no backup instance {name[:150]!r} in this vault", code="ResourceNotFound"
        )
    return found
