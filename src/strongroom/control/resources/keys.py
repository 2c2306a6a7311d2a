"""The keys of a vault: see them, rotate them, have them examined, take another recovery key."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import shreds
from strongroom.catalog.protection import instance_keys, instances, protection
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Invalid
from strongroom.model.identities.access import Caller
from strongroom.model.identities.custody import Custody
from strongroom.model.ids import OperationId
from strongroom.model.resources import guard

_VAULT = "Microsoft.DataProtection/backupVaults"
READ = f"{_VAULT}/keys/read"
ROTATE = f"{_VAULT}/backupInstances/rotateKeys/action"
CHECK = f"{_VAULT}/backupInstances/checkKeys/action"
ROTATE_KEK = f"{_VAULT}/rotateKeyEncryptionKey/action"
READ_CERTIFICATES = f"{_VAULT}/shredCertificates/read"
REPLACE_RECOVERY = f"{_VAULT}/replaceRecoveryKey/action"
_PUBLIC_SIZE = 1216


class Key(msgspec.Struct, kw_only=True, rename="camel", frozen=True):
    """A pair of an instance. `in_use`: writers are given its public half."""

    key_id: str
    instance: str
    purpose: str
    number: int
    in_use: bool
    created_at: str  # ISO 8601


def list_keys(control: Control, caller: Caller, ref: VaultRef) -> tuple[Custody, list[Key]]:
    """The installation's custody, and the pairs of every instance of a vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ, scope)
        found = instances.list_of_vault(connection, need_vault(connection, ref)["id"])
        keys = [key for row in found for key in _keys_of(connection, row)]
    return control.custody(), keys


def _keys_of(connection: sa.Connection, instance: sa.RowMapping) -> list[Key]:
    rows = instance_keys.list_of_instance(connection, instance["id"])
    newest = {row["purpose"]: row["number"] for row in rows}  # in the order of their numbers
    return [
        Key(
            key_id=row["key_id"].hex(),
            instance=instance["name"],
            purpose=row["purpose"],
            number=row["number"],
            in_use=row["number"] == newest[row["purpose"]],
            created_at=row["created_at"].format_iso(),
        )
        for row in rows
    ]


def rotate_keys(
    control: Control, caller: Caller, ref: VaultRef, name: str, request_key: str
) -> OperationId:
    """Another pair for each purpose: from the next backup on writers are given these."""
    scope = arm.instance_id_of(control.installation.subscription_id, ref, name)

    def begin(connection: sa.Connection, operation: OperationId) -> None:
        instance = protection.by_name(connection, ref.resource_group, ref.name, name).instance_id
        rows = instance_keys.list_of_instance(connection, instance)
        number = 1 + max((row["number"] for row in rows), default=0)
        _record(control, connection, caller, ("keys/rotate", scope), {"number": number})
        story, told = f"keys:{operation}", (instance, number, operation)
        control.jobs.enqueue(connection, "rotate-keys", story, *told)

    return _begin(control, caller, (ROTATE, scope), request_key, begin)


def check_keys(
    control: Control, caller: Caller, ref: VaultRef, name: str, request_key: str
) -> OperationId:
    """A census of an instance's keys, now; what is wrong is among its storage findings."""
    scope = arm.instance_id_of(control.installation.subscription_id, ref, name)

    def begin(connection: sa.Connection, operation: OperationId) -> None:
        instance = protection.by_name(connection, ref.resource_group, ref.name, name).instance_id
        story = f"keys:{operation}"
        control.jobs.enqueue(connection, "check-keys", story, instance, operation)

    return _begin(control, caller, (CHECK, scope), request_key, begin)


def rotate_kek(control: Control, caller: Caller, request_key: str) -> OperationId:
    """Another key-encryption key for the whole installation."""
    scope = arm.subscription_id_of(control.installation.subscription_id)

    def begin(connection: sa.Connection, operation: OperationId) -> None:
        ask = Ask(guard.MODIFY_ENCRYPTION, scope, {"keyEncryptionKey": "rotate"})
        guarded.require_everywhere(control, connection, caller, ask)
        _record(control, connection, caller, ("keyEncryptionKey/rotate", scope), {})
        story = f"keys:{operation}"
        control.jobs.enqueue(connection, "rotate-kek", story, operation, partition="kek")

    return _begin(control, caller, (ROTATE_KEK, scope), request_key, begin)


def replace_recovery_key(
    control: Control, caller: Caller, body: dict[str, Any], request_key: str
) -> OperationId:
    """Every pair is sealed to another recovery key too: who holds its secret opens them all."""
    scope = arm.subscription_id_of(control.installation.subscription_id)

    def begin(connection: sa.Connection, operation: OperationId) -> None:
        public = _read_public(body)
        ask = Ask(guard.EXPORT_KEYS, scope, {"publicKey": public})
        guarded.require_everywhere(control, connection, caller, ask)
        _record(control, connection, caller, ("recoveryKey/replace", scope), {"publicKey": public})
        story, asked = f"keys:{operation}", (public, operation)
        control.jobs.enqueue(connection, "replace-recovery-key", story, *asked, partition="kek")

    return _begin(control, caller, (REPLACE_RECOVERY, scope), request_key, begin)


def _record(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[str, str],
    told: dict[str, Any],
) -> None:
    audit.append(connection, control.clock.now(), caller, what, told)


def _read_public(body: dict[str, Any]) -> str:
    text = arm.pick_text(body, "publicKey")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _PUBLIC_SIZE:
        raise Invalid(
            f"publicKey is not the base64 of {_PUBLIC_SIZE} bytes",
            hint="let `strongroom keys new-kit` make one, and keep its secret half",
        )
    return text


def list_certificates(control: Control, caller: Caller, ref: VaultRef) -> list[dict[str, Any]]:
    """What was shredded of a vault, newest first: each signed, as it was written."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ_CERTIFICATES, scope)
        vault = need_vault(connection, ref)
        rows = shreds.list_of_vault(connection, vault["id"])
    return [msgspec.json.decode(row["certificate"]) for row in rows]


def _begin(
    control: Control,
    caller: Caller,
    what: tuple[str, str],
    request_key: str,
    act: Callable[[sa.Connection, OperationId], None],
) -> OperationId:
    """An operation that a durable story ends; the same request, sent again, is the same one."""
    action, scope = what
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, action, scope)
        kind = (action.split("/")[-2], scope)
        operation = long_running.begin_operation(control, connection, caller, kind, request_key)
        act(connection, operation)
        return operation
