"""Backup instances: a server protected by a policy in a vault."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances as catalog
from strongroom.catalog.resources import operations
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import check_vault_identity, require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection import adoption, scheduling, storage_room
from strongroom.control.protection.policies import need_policy
from strongroom.control.resources.resource_groups import SERVER
from strongroom.control.resources.servers import READ as READ_SERVER
from strongroom.control.resources.servers import check_ready, need_server
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm, page
from strongroom.model.arm import PolicyRef, ServerRef, VaultRef
from strongroom.model.errors import Conflict, NotFound, UserError, VaultError, all_of
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.oversight.outside import Room
from strongroom.model.protection.backup_settings import BackupSettings, read_settings, settings_of
from strongroom.model.protection.backup_type import FULL
from strongroom.model.protection.less_retention import less_kept
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.protection_state import CONFIGURING, FAILED, SOFT_DELETED
from strongroom.model.resources import guard

READ = "Microsoft.DataProtection/backupVaults/backupInstances/read"
WRITE = "Microsoft.DataProtection/backupVaults/backupInstances/write"
VALIDATE = "Microsoft.DataProtection/backupVaults/validateForBackup/action"
_ECHOED = ("friendlyName", "dataSourceSetInfo", "identityDetails", "validationType")
T = TypeVar("T")


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """What a request for protection names; `properties` are those that are only echoed.

    `settings`: None where the request says nothing of them, and they stay as they are. `room`:
    what is left in storage, where it is asked whether a first backup fits. `only_tried`: then the
    server must be ready, though a change may be made while it is down.
    """

    server: ServerRef
    policy: PolicyRef
    properties: dict[str, Any]
    tags: dict[str, str]
    settings: BackupSettings | None = None
    room: Room | None = None
    only_tried: bool = False

    def kept(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What the catalogue keeps, after the properties that it held before."""
        settings = settings_of(before) if self.settings is None else self.settings
        return {**self.properties, "strongroom": {"settings": settings.to_dict()}}


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """What stands behind the names, all of it fit for protection."""

    vault: sa.RowMapping
    policy: sa.RowMapping
    server: sa.RowMapping


def read_instance(
    control: Control, vault: VaultRef, properties: Mapping[str, Any], tags: dict[str, str] | None
) -> Asked:
    """ARM's BackupInstance, read at the door; keys in any case, `resourceID` or `resourceId`."""
    subscription = control.installation.subscription_id
    source = arm.pick_object(properties, "dataSourceInfo")
    arm.check_kind(properties, "objectType", "BackupInstance")
    arm.check_kind(source, "datasourceType", SERVER)
    policy_info = arm.pick_object(properties, "policyInfo")
    policy = arm.read_policy_id(arm.pick_text(policy_info, "policyId"), subscription)
    home = arm.vault_id_of(subscription, vault).lower()
    if arm.vault_id_of(subscription, policy.vault).lower() != home:
        raise arm.invalid("the policy belongs to another vault", "name a policy of this vault")
    if arm.pick(properties, "datasourceAuthCredentials"):
        raise arm.invalid(
            "credentials are not taken", "leave them out: the server's agent holds its own"
        )
    return Asked(
        server=arm.read_server_id(arm.pick_text(source, "resourceID"), subscription),
        policy=policy,
        properties={name: arm.pick(properties, name) for name in _ECHOED},
        tags=tags or {},
        settings=_read_settings(properties),
    )


def _read_settings(properties: Mapping[str, Any]) -> BackupSettings | None:
    asked = arm.pick(arm.pick_object(properties, "strongroom"), "settings")
    return None if asked is None else read_settings(asked)


def validate_instance(
    control: Control, caller: Caller, vault: VaultRef, asked: Asked, request_key: str
) -> OperationId:
    """Could this server be protected now? The operation holds the answer."""
    asked = msgspec.structs.replace(asked, room=storage_room.ask_room(control))
    with control.database.writing() as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, VALIDATE, scope)
        need_vault(connection, vault)
        operation = long_running.begin_operation(
            control, connection, caller, ("validateForBackup", scope), request_key
        )
        now = control.clock.now()
        try:
            examine(control, connection, caller, vault, asked)
        except VaultError as error:
            long_running.end_operation(connection, operation, now, error=error.to_dict())
        else:
            long_running.end_operation(connection, operation, now, result={"jobId": None})
        return operation


def examine(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    vault: VaultRef,
    asked: Asked,
    before: sa.RowMapping | None = None,
) -> Found:
    """Everything that protection needs. Raises one error that names all that is missing.

    Where the instance is there (`before`) and goes on as it was, the server need not be ready.
    """
    missing: list[UserError] = []
    owner = need_vault(connection, vault)
    policy = _try(missing, lambda: need_policy(connection, owner["id"], asked.policy.name))
    server = _try(missing, lambda: _see_server(control, connection, caller, asked.server))
    if server is not None:
        known = server
        _try(missing, lambda: _check_free(connection, owner, known, before))
        _try(
            missing,
            lambda: check_vault_identity(control, connection, known["id"], owner["principal_id"]),
        )
        kind = parse_policy(policy["properties"]).backup_type if policy is not None else FULL
        if asked.only_tried or not _goes_on(before, policy):
            _try(missing, lambda: check_ready(control, connection, known, kind))
        if asked.room is not None:
            room = asked.room
            _try(missing, lambda: storage_room.check_size(room, known))
    if missing or policy is None or server is None:
        raise all_of(missing)
    return Found(vault=owner, policy=policy, server=server)


def _goes_on(before: sa.RowMapping | None, policy: sa.RowMapping | None) -> bool:
    """Under the same policy: whoever changes settings may do so while the server is down."""
    if before is None or policy is None:
        return False
    return bool(
        before["policy_id"] == policy["id"] and before["state"] not in {CONFIGURING, FAILED}
    )


def _try(missing: list[UserError], look: Callable[[], T]) -> T | None:
    try:
        return look()
    except UserError as error:
        missing.append(error)
        return None


def _see_server(
    control: Control, connection: sa.Connection, caller: Caller, ref: ServerRef
) -> sa.RowMapping:
    scope = arm.server_id_of(control.installation.subscription_id, ref.resource_group, ref.name)
    require(control, connection, caller, READ_SERVER, scope)
    return need_server(connection, ref.resource_group, ref.name)


def _check_free(
    connection: sa.Connection,
    vault: sa.RowMapping,
    server: sa.RowMapping,
    before: sa.RowMapping | None,
) -> None:
    """Protected by no other; one that was deleted in this vault is adopted."""
    taken = catalog.of_server(connection, server["id"])
    if taken is None or (before is not None and taken["id"] == before["id"]):
        return
    if taken["state"] == SOFT_DELETED:
        if taken["vault_id"] == vault["id"]:
            return
        raise Conflict(
            f"Datasource is already associated with the backup instance {taken['name']} of vault "
            f"{taken['vault_name']} with the protection status as SoftDeleted",
            hint="undelete it there, or protect the server in that vault: its points are kept",
            code="UserErrorDppDatasourceAlreadyProtected",
        )
    raise Conflict(
        f"server {server['name']} is protected already, by instance {taken['name']} "
        f"of vault {taken['vault_name']}",
        hint="use that instance, or change its policy",
        code="UserErrorDppDatasourceAlreadyProtected",
    )


def put_instance(
    control: Control, caller: Caller, vault: VaultRef, name: str, asked: Asked, request_key: str
) -> tuple[sa.RowMapping, OperationId, bool]:
    """Protect a server, or change its policy. Returns the row, the operation, whether new."""
    arm.check_name("instance", name)
    with guarded.writing(control) as connection:
        scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, WRITE, scope)
        owner = need_vault(connection, vault)
        before = catalog.find(connection, owner["id"], name)
        known = _known_operation(connection, before, scope, request_key)
        if before is not None and known is not None:
            return before, known, False
        found = examine(control, connection, caller, vault, asked, before)
        check_same_server(before, found)
        left = adoption.find_left(connection, owner["id"], found.server["id"], name, before)
        known_as = before or left
        if known_as is not None:
            _check_less(control, connection, caller, scope, known_as, found)
        operation = long_running.begin_operation(
            control, connection, caller, ("backupInstance", scope), request_key
        )
        told: dict[str, Any] = {"policy": found.policy["name"], "server": found.server["name"]}
        if asked.settings is not None:
            told["settings"] = asked.settings.to_dict()
        now = control.clock.now()
        was = {} if known_as is None else _told(known_as)
        audit.append(connection, now, caller, ("instance/write", scope), told, before=was)
        if left is not None:
            adoption.bring_back(connection, left, name)
        if known_as is None:
            _create(control, connection, name, asked, found, operation)
        else:
            _change(control, connection, known_as, asked, found, operation)
        return need_instance(connection, owner["id"], name), operation, before is None


def check_same_server(before: sa.RowMapping | None, found: Found) -> None:
    """Conflict where an instance would protect another server from now on."""
    if before is not None and before["server_id"] != found.server["id"]:
        raise Conflict(
            f"backup instance {before['name']} protects server {before['server_name']}",
            hint="protect another server by another instance",
            code="BMSUserErrorInvalidInput",
        )


def _check_less(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    scope: str,
    before: sa.RowMapping,
    found: Found,
) -> None:
    """Another policy that keeps less is a second person's to approve."""
    if before["policy_id"] == found.policy["id"]:
        return
    old = need_policy(connection, found.vault["id"], before["policy_name"])
    rules = parse_policy(old["properties"]), parse_policy(found.policy["properties"])
    less = less_kept(*rules)
    if less:
        policies = {"from": f"{old['name']} {old['version']}"}
        policies |= {"to": f"{found.policy['name']} {found.policy['version']}"}
        ask = Ask(guard.CHANGE_POLICY, scope, {**policies, "less": less})
        guarded.require_approval(control, connection, caller, found.vault["id"], ask)


def _told(row: sa.RowMapping) -> dict[str, Any]:
    told = {"policy": row["policy_name"], "server": row["server_name"], "state": row["state"]}
    return {**told, "name": row["name"]}


def _known_operation(
    connection: sa.Connection, before: sa.RowMapping | None, scope: str, request_key: str
) -> OperationId | None:
    """The operation that does this already: the request sent again, or protection under way."""
    known = long_running.find_by_request(connection, request_key)
    if known is None and before is not None and before["state"] == CONFIGURING:
        running = operations.find_running(connection, scope)
        return None if running is None else OperationId(running)
    return known


def _create(
    control: Control,
    connection: sa.Connection,
    name: str,
    asked: Asked,
    found: Found,
    operation: OperationId,
) -> None:
    instance_id = control.chance.bytes(16).hex()
    row = {
        "id": instance_id,
        "vault_id": found.vault["id"],
        "name": name,
        "name_key": name.lower(),
        "server_id": found.server["id"],
        "policy_id": found.policy["id"],
        "properties": asked.kept({}),
        "tags": asked.tags,
        "state": CONFIGURING,
        "created_at": control.clock.now(),
    }
    catalog.add(connection, row)
    configure(control, connection, instance_id, operation)


def _change(
    control: Control,
    connection: sa.Connection,
    before: sa.RowMapping,
    asked: Asked,
    found: Found,
    operation: OperationId,
) -> None:
    values = {
        "policy_id": found.policy["id"],
        "properties": asked.kept(before["properties"]),
        "tags": asked.tags,
    }
    catalog.change(connection, before["id"], **values)
    if before["state"] in {FAILED, SOFT_DELETED}:
        catalog.change(connection, before["id"], state=CONFIGURING, error=None)
        configure(control, connection, before["id"], operation)
        return
    if before["policy_id"] != found.policy["id"]:
        rules = parse_policy(found.policy["properties"])
        scheduling.plan_instance(control, connection, before["id"], rules)
    long_running.end_operation(connection, operation, control.clock.now(), result={})


def configure(
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


def seen_again(control: Control, row: sa.RowMapping) -> sa.RowMapping:
    """An instance as it is by now, for whoever has just put it; as it was, where it is gone."""
    with control.database.reading() as connection:
        return catalog.find(connection, row["vault_id"], row["name"]) or row


def list_instances(
    control: Control, caller: Caller, vault: VaultRef, after: str = ""
) -> tuple[list[sa.RowMapping], str]:
    """A page of a vault's backup instances, by name, and where the next one begins."""
    name = page.read_name(after)
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, READ, scope)
        vault_id = need_vault(connection, vault)["id"]
        found = catalog.page_of_vault(connection, vault_id, name, page.SIZE + 1)
    shown = found[: page.SIZE]
    return shown, page.mark_of(shown[-1]["name_key"]) if len(found) > page.SIZE else ""


def need_instance(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping:
    """The instance, or NotFound."""
    found = catalog.find(connection, vault_id, name)
    if found is None:
        raise NotFound(
            f"there is no backup instance {name[:150]!r} in this vault", code="ResourceNotFound"
        )
    return found
