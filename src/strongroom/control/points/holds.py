"""Legal holds: set, release, look at them."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds as catalog
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import deletions, protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.resources import operations
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import InstanceId, OperationId
from strongroom.model.points.hold import RELEASING, SETTING, HoldWish
from strongroom.model.resources import guard

_HOLDS = "Microsoft.DataProtection/backupVaults/backupInstances/legalHolds"
READ = f"{_HOLDS}/read"
WRITE = f"{_HOLDS}/write"
DELETE = f"{_HOLDS}/delete"
KIND = "legalHold"
Place = tuple[VaultRef, str]  # vault, instance


def set_hold(
    control: Control, caller: Caller, place: Place, wish: HoldWish, request_key: str
) -> tuple[sa.RowMapping, OperationId, bool]:
    """From here on nothing that it names goes; the operation ends when storage keeps it too.

    Returns the row, the operation, whether it is new. The same hold again is one; another of the
    same name is a Conflict.
    """
    with control.database.writing() as connection:
        scope = _scope(control, place, wish.name)
        require(control, connection, caller, WRITE, scope)
        instance_id = _instance(connection, place)
        found = catalog.find(connection, instance_id, wish.name)
        known = long_running.find_by_request(connection, request_key)
        if found is not None and known is None:
            _check_same(found, wish)  # before it is asked what is under way: it may be a release
            known = _running(connection, scope)
        if found is not None and known is not None:
            return found, known, False
        row = found or _new(control, connection, caller, (instance_id, scope), wish)
        operation = _begin(control, connection, caller, scope, request_key)
        control.jobs.enqueue(connection, "set-hold", f"hold:{operation}", row["id"], operation)
        return row, operation, found is None


def _new(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    where: tuple[InstanceId, str],
    wish: HoldWish,
) -> sa.RowMapping:
    (instance_id, scope), now = where, control.clock.now()
    _check_not_going(connection, instance_id)
    if wish.point:
        _need_point(connection, instance_id, wish.point)
    hold: dict[str, Any] = {"id": control.chance.bytes(16).hex(), "instance_id": instance_id}
    hold |= {"point_id": wish.point or None, "name": wish.name, "name_key": wish.name.lower()}
    hold |= {"reason": wish.reason, "state": SETTING, "names": []}
    catalog.add(connection, {**hold, "set_by": caller.principal_id, "set_at": now})
    told = {"point": wish.point or "all, and those to come", "reason": wish.reason}
    audit.append(connection, now, caller, ("hold/set", scope), told)
    return _need(connection, instance_id, wish.name)


def _check_not_going(connection: sa.Connection, instance_id: InstanceId) -> None:
    deletion = deletions.find(connection, instance_id)
    if deletion is not None and deletion["begun"]:
        raise Conflict(
            "it is being purged: there is nothing left that could be held",
            hint="a copy of the storage, if there is one, may hold it still: the second endpoint",
        )


def _need_point(connection: sa.Connection, instance_id: InstanceId, point: str) -> None:
    states = recovery_points.COMPLETED, recovery_points.SOFT_DELETED
    found = recovery_points.list_of_instance(connection, instance_id, *states)
    if point not in {each.id for each in found}:
        raise NotFound(
            f"there is no recovery point {point}",
            hint="list the points of this server with: strongroom points NAME",
        )


def _check_same(row: sa.RowMapping, wish: HoldWish) -> None:
    same = (row["point_id"] or "", row["reason"]) == (wish.point, wish.reason)
    if row["state"] == RELEASING or not same:
        raise Conflict(
            f"there is a hold {row['name']} already, of {row['point_id'] or 'the whole server'}, "
            f"and it is {row['state']}",
            hint="a hold is never changed: set another under its own name, then release this one",
        )


def _begin(
    control: Control, connection: sa.Connection, caller: Caller, scope: str, request_key: str
) -> OperationId:
    what = KIND, scope
    return long_running.begin_operation(control, connection, caller, what, request_key)


def release_hold(
    control: Control, caller: Caller, place: Place, name: str, request_key: str
) -> OperationId | None:
    """It holds until storage has let go too: then the operation ends. None when there is none.

    Raises Conflict while it is still being set.
    """
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        scope = _scope(control, place, name)
        require(control, connection, caller, DELETE, scope)
        row = catalog.find(connection, _instance(connection, place), name)
        if row is None:
            return None
        if _running(connection, scope) is not None:
            raise Conflict(
                f"hold {row['name']} is {row['state']} just now",
                hint="wait a moment: strongroom hold list",
            )
        told = {"point": row["point_id"], "reason": row["reason"], "setBy": row["set_by"]}
        ask, owner = Ask(guard.RELEASE_HOLD, scope, told), _vault(connection, place)
        guarded.require_approval(control, connection, caller, owner, ask)
        operation = _begin(control, connection, caller, scope, request_key)
        catalog.change(connection, row["id"], state=RELEASING)
        what = ("hold/release", scope)
        audit.append(connection, control.clock.now(), caller, what, before=told)
        story = f"hold:{operation}"
        control.jobs.enqueue(connection, "release-hold", story, row["id"], operation)
        return operation


def list_holds(control: Control, caller: Caller, place: Place) -> list[sa.RowMapping]:
    """Those of an instance and of its points."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control, place, ""))
        return catalog.list_of_instance(connection, _instance(connection, place))


def get_hold(control: Control, caller: Caller, place: Place, name: str) -> sa.RowMapping:
    """One of them."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control, place, name))
        return _need(connection, _instance(connection, place), name)


def _need(connection: sa.Connection, instance_id: InstanceId, name: str) -> sa.RowMapping:
    found = catalog.find(connection, instance_id, name)
    if found is None:
        raise NotFound(f"there is no legal hold {name[:64]!r} here", code="ResourceNotFound")
    return found


def _instance(connection: sa.Connection, place: Place) -> InstanceId:
    return _protection(connection, place).instance_id


def _vault(connection: sa.Connection, place: Place) -> str:
    return _protection(connection, place).vault_id


def _protection(connection: sa.Connection, place: Place) -> Protection:
    """What is soft-deleted is there still, and can be held."""
    vault, name = place
    group = vault.resource_group
    return protection.by_name(connection, group, vault.name, name, deleted=True)


def _scope(control: Control, place: Place, name: str) -> str:
    home = instance_id_of(control.installation.subscription_id, *place)
    return f"{home}/legalHolds/{name}".rstrip("/") if name else home


def _running(connection: sa.Connection, scope: str) -> OperationId | None:
    found = operations.find_running(connection, scope)
    return None if found is None else OperationId(found)
