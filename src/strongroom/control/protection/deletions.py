"""Delete a backup instance or a recovery point, and have it back until it is purged."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds, recovery_points
from strongroom.catalog.protection import deletions, instances, protection
from strongroom.catalog.protection.deletions import INSTANCE, POINT, Kind
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection import scheduling
from strongroom.control.resources.vaults import need_vault
from strongroom.model.arm import VaultRef, instance_id_of, vault_id_of
from strongroom.model.errors import Conflict, Locked, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import InstanceId, OperationId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.protection_state import CONFIGURING, SOFT_DELETED, STOPPED
from strongroom.model.resources import guard
from strongroom.model.resources.soft_delete import OFF, soft_delete_of
from strongroom.model.resources.vault import immutability_of

_INSTANCE = "Microsoft.DataProtection/backupVaults/backupInstances"
_DELETED = "Microsoft.DataProtection/backupVaults/deletedBackupInstances"
DELETE = f"{_INSTANCE}/delete"
READ = f"{_DELETED}/read"
UNDELETE = f"{_DELETED}/undelete/action"
DELETE_POINT = f"{_INSTANCE}/recoveryPoints/delete"
READ_POINTS = f"{_INSTANCE}/deletedRecoveryPoints/read"
UNDELETE_POINT = f"{_INSTANCE}/deletedRecoveryPoints/undelete/action"
Deleted = tuple[sa.RowMapping, sa.RowMapping]  # the thing's row, and its deletion


def delete_instance(
    control: Control, caller: Caller, vault: VaultRef, name: str, request_key: str
) -> OperationId | None:
    """No more backups, and all its points go when it is purged. None when there is none.

    Raises Locked for what a hold or an immutable vault keeps, Conflict while it is configured.
    """
    scope = instance_id_of(control.installation.subscription_id, vault, name)
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, DELETE, scope)
        owner = need_vault(connection, vault)
        found = instances.find(connection, owner["id"], name)
        if found is None:
            return None
        if found["state"] == CONFIGURING:
            raise Conflict(
                f"the protection of {found['name']} is being configured",
                hint="wait until that has ended, then delete it",
            )
        points = recovery_points.list_of_instance(
            connection, found["id"], recovery_points.COMPLETED, recovery_points.SOFT_DELETED
        )
        check_deletable(connection, owner, found["id"], points, control.clock.now())
        ask = Ask(guard.DELETE_INSTANCE, scope)
        guarded.require_approval(control, connection, caller, owner["id"], ask)
        operation = long_running.add_ended(
            control, connection, caller, ("backupInstance/delete", scope), {}, request_key
        )
        before = {"state": found["state"], "points": len(points)}
        done = operation, scope, before
        _delete(control, connection, caller, (INSTANCE, found["id"], owner), done)
        protection.set_state(connection, found["id"], SOFT_DELETED)
        policy = parse_policy(protection.by_id(connection, found["id"]).policy)
        scheduling.plan_instance(control, connection, found["id"], policy)
        return operation


def check_deletable(
    connection: sa.Connection,
    vault: sa.RowMapping,
    instance_id: str,
    points: Sequence[RecoveryPoint],
    now: Instant,
) -> None:
    """Raise Locked when a legal hold keeps one of these, or the vault keeps all to their end."""
    held = holds.names_on(connection, instance_id, ["", *(point.id for point in points)])
    if held:
        names = ", ".join(sorted({name for each in held.values() for name in each}))
        raise Locked(
            f"it is held by {names}",
            hint="a hold ends when somebody releases it: strongroom hold release",
        )
    last = max((point.expires_at for point in points), default=now)
    state = immutability_of(vault["properties"])
    if state != "Disabled" and last > now:
        raise Locked(
            f"vault {vault['name']} is immutable ({state}): nothing is deleted before its time, "
            f"and that is {last.format_iso()}",
            hint="stop the backups instead, or let the points end by themselves: "
            "strongroom suspend",
            facts={"until": last.format_iso()},
        )


def _delete(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[Kind, str, sa.RowMapping],
    done: tuple[OperationId, str, dict[str, Any]],
) -> None:
    """Of `what` = (kind, id, vault), by `done` = (operation, its name, what was before)."""
    (kind, thing, vault), (operation, name, before) = what, done
    now = control.clock.now()
    soft = soft_delete_of(vault["properties"])
    purge_at = soft.purge_at(now)
    by = (caller.principal_id, operation)
    deletions.add(connection, (kind, thing, vault["id"]), now, purge_at, by)
    told = {"purge": purge_at.format_iso(), "softDelete": soft.state}
    action = {INSTANCE: "instance/delete", POINT: "recoveryPoint/softDelete"}[kind]
    after = {"state": SOFT_DELETED}
    audit.append(connection, now, caller, (action, name), told, before=before, after=after)
    if soft.state == OFF:
        control.jobs.enqueue(connection, "purge", f"purge:{operation}", thing)


def list_deleted(control: Control, caller: Caller, vault: VaultRef) -> list[Deleted]:
    """The soft-deleted instances of a vault."""
    with control.database.reading() as connection:
        scope = vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, READ, scope)
        rows = instances.list_deleted(connection, need_vault(connection, vault)["id"])
        found = deletions.of(connection, [row["id"] for row in rows])
        return [(row, found[row["id"]]) for row in rows]


def get_deleted(control: Control, caller: Caller, vault: VaultRef, name: str) -> Deleted:
    """One of them."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control, vault, name))
        return need_deleted(connection, need_vault(connection, vault)["id"], name)


def _scope(control: Control, vault: VaultRef, name: str) -> str:
    home = vault_id_of(control.installation.subscription_id, vault)
    return f"{home}/deletedBackupInstances/{name}"


def need_deleted(connection: sa.Connection, vault_id: str, name: str) -> Deleted:
    """A soft-deleted instance of a vault, with its deletion; NotFound when there is none."""
    row = instances.find_deleted(connection, vault_id, name)
    if row is None:
        raise NotFound(
            f"there is no deleted backup instance {name[:150]!r} in this vault",
            code="ResourceNotFound",
        )
    deletion = deletions.find(connection, row["id"])
    assert deletion is not None  # noqa: S101 - written with the state
    return row, deletion


def undelete_instance(
    control: Control, caller: Caller, vault: VaultRef, name: str, request_key: str
) -> OperationId:
    """Have it back as it was, stopped: its points are kept until it is resumed, or deleted.

    Raises Conflict when it is being purged already.
    """

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found, deletion = need_deleted(connection, need_vault(connection, vault)["id"], name)
        have_back(connection, deletion, found["name"])
        protection.set_state(connection, found["id"], STOPPED)
        states = {"before": {"state": SOFT_DELETED}, "after": {"state": STOPPED}}
        what = ("instance/undelete", scope)
        audit.append(connection, control.clock.now(), caller, what, **states)
        return {}

    scope = _scope(control, vault, name)
    return long_running.act_once(control, caller, UNDELETE, scope, request_key, begin)


def have_back(connection: sa.Connection, deletion: sa.RowMapping, name: str) -> None:
    """Take a deletion back. Raises Conflict when its purge has begun."""
    if deletion["begun"]:
        raise Conflict(
            f"{name} is being purged since {deletion['purge_at'].format_iso()}",
            hint="there is no way back; when it is gone the server can be protected anew",
        )
    deletions.drop(connection, deletion["id"])


def delete_point(
    control: Control,
    caller: Caller,
    place: tuple[VaultRef, str],
    point_id: str,
    request_key: str,
) -> OperationId:
    """One recovery point of `place` = (vault, instance); the others need nothing of it.

    Raises Locked for what a hold or an immutable vault keeps.
    """
    vault, name = place
    scope = instance_id_of(control.installation.subscription_id, vault, name)
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, DELETE_POINT, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        owner = need_vault(connection, vault)
        point = recovery_points.get(connection, found.instance_id, point_id)
        check_deletable(connection, owner, found.instance_id, [point], control.clock.now())
        ask = Ask(guard.DELETE_POINT, f"{scope}/recoveryPoints/{point.id}")
        guarded.require_approval(control, connection, caller, owner["id"], ask)
        what = ("recoveryPoint/delete", f"{scope}/recoveryPoints/{point.id}")
        operation = long_running.add_ended(control, connection, caller, what, {}, request_key)
        before = {"state": point.state, "instance": found.instance_name}
        done = operation, str(point.id), before
        _delete(control, connection, caller, (POINT, point.id, owner), done)
        recovery_points.set_state(connection, point.id, recovery_points.SOFT_DELETED)
        return operation


def list_deleted_points(
    control: Control, caller: Caller, vault: VaultRef, name: str
) -> list[tuple[RecoveryPoint, sa.RowMapping]]:
    """The soft-deleted points of an instance, newest first, each with its deletion."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ_POINTS, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        points = _soft_deleted(connection, found.instance_id)
        rows = deletions.of(connection, [point.id for point in points])
        return [(point, rows[point.id]) for point in points]


def _soft_deleted(connection: sa.Connection, instance_id: InstanceId) -> list[RecoveryPoint]:
    return recovery_points.list_of_instance(connection, instance_id, recovery_points.SOFT_DELETED)


def undelete_point(
    control: Control,
    caller: Caller,
    place: tuple[VaultRef, str],
    point_id: str,
    request_key: str,
) -> OperationId:
    """Have it back; where its own time is over by now, it ends by age."""
    vault, name = place

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        point = recovery_points.get(
            connection, found.instance_id, point_id, recovery_points.SOFT_DELETED
        )
        deletion = deletions.find(connection, point.id)
        assert deletion is not None  # noqa: S101 - written with the state
        have_back(connection, deletion, point.id)
        recovery_points.set_state(connection, point.id, recovery_points.COMPLETED)
        what = ("recoveryPoint/undelete", point.id)
        audit.append(connection, control.clock.now(), caller, what)
        return {}

    scope = instance_id_of(control.installation.subscription_id, vault, name)
    return long_running.act_once(control, caller, UNDELETE_POINT, scope, request_key, begin)
