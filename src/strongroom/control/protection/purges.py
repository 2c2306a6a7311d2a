"""Purge what was deleted before its time: by a person, with another's approval.

Only where soft delete is not AlwaysOn, and nothing keeps it: no hold, no immutable vault. From
then on it goes as at the end of its time (workflows/purge.py); until that has begun it can still
be had back.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import deletions, protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection.deletions import check_deletable, need_deleted
from strongroom.control.resources.vaults import need_vault
from strongroom.model.arm import VaultRef, instance_id_of, vault_id_of
from strongroom.model.errors import Conflict, Locked
from strongroom.model.identities.access import Caller
from strongroom.model.ids import InstanceId, OperationId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.resources import guard
from strongroom.model.resources.guard import Guarded
from strongroom.model.resources.soft_delete import ALWAYS_ON, soft_delete_of

_VAULT = "Microsoft.DataProtection/backupVaults"
PURGE = f"{_VAULT}/deletedBackupInstances/purge/action"
PURGE_POINT = f"{_VAULT}/backupInstances/deletedRecoveryPoints/purge/action"


def purge_instance(
    control: Control, caller: Caller, vault: VaultRef, name: str, request_key: str
) -> OperationId:
    """All of a soft-deleted instance goes now. Raises Locked, Conflict, Forbidden, NotFound."""

    def begin(connection: sa.Connection) -> dict[str, Any]:
        owner = need_vault(connection, vault)
        found, deletion = need_deleted(connection, owner["id"], name)
        states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
        points = recovery_points.list_of_instance(connection, found["id"], *states)
        ask = Ask(guard.PURGE_INSTANCE, scope, {"points": len(points)})
        _purge(control, connection, caller, (owner, found["id"], points), deletion, ask)
        return {}

    home = vault_id_of(control.installation.subscription_id, vault)
    scope = f"{home}/deletedBackupInstances/{name}"
    return long_running.act_once(control, caller, PURGE, scope, request_key, begin)


def purge_point(
    control: Control,
    caller: Caller,
    place: tuple[VaultRef, str],
    point_id: str,
    request_key: str,
) -> OperationId:
    """One soft-deleted point of `place` = (vault, instance) goes now. Raises as the other."""
    vault, name = place

    def begin(connection: sa.Connection) -> dict[str, Any]:
        owner = need_vault(connection, vault)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        state = recovery_points.SOFT_DELETED
        point = recovery_points.get(connection, found.instance_id, point_id, state)
        deletion = deletions.find(connection, point.id)
        assert deletion is not None  # noqa: S101 - written with the state
        ask = Ask(guard.PURGE_POINT, f"{home}/deletedRecoveryPoints/{point.id}")
        what = owner, found.instance_id, [point]
        _purge(control, connection, caller, what, deletion, ask)
        return {}

    home = instance_id_of(control.installation.subscription_id, vault, name)
    return long_running.act_once(control, caller, PURGE_POINT, home, request_key, begin)


def _purge(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[sa.RowMapping, InstanceId, Sequence[RecoveryPoint]],
    deletion: sa.RowMapping,
    ask: Ask,
) -> None:
    """Of `what` = (vault, instance, the points that go)."""
    (owner, instance_id, points), now = what, control.clock.now()
    _check(connection, owner, instance_id, deletion)
    check_deletable(connection, owner, instance_id, points, now)
    guarded.require_approval(control, connection, caller, owner["id"], ask)
    told = {"scheduled": deletion["purge_at"].format_iso(), "points": len(points)}
    audit.append(connection, now, caller, (_ACTIONS[ask.operation], deletion["id"]), told)
    if deletion["begun"]:
        return
    deletions.hasten(connection, deletion["id"], now)
    story = f"purge:{control.chance.bytes(16).hex()}"
    control.jobs.enqueue(connection, "purge", story, deletion["id"])


_ACTIONS: dict[Guarded, str] = {
    guard.PURGE_INSTANCE: "instance/purgeNow",
    guard.PURGE_POINT: "recoveryPoint/purgeNow",
}


def _check(
    connection: sa.Connection,
    owner: sa.RowMapping,
    instance_id: InstanceId,
    deletion: sa.RowMapping,
) -> None:
    soft = soft_delete_of(owner["properties"])
    if soft.state == ALWAYS_ON:
        raise Locked(
            f"soft delete of vault {owner['name']} is {ALWAYS_ON}: what is deleted is kept until "
            f"{deletion['purge_at'].format_iso()}",
            hint="it goes by itself then; nobody can hasten it",
        )
    if jobs.is_busy(connection, instance_id):
        raise Conflict(
            "a job is under way that may need it",
            hint="wait until it has ended, or cancel it: strongroom jobs",
        )
