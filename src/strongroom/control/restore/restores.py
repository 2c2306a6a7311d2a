"""Trigger a restore: what is asked is read at the door, the plan is made first."""

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.restore import loads
from strongroom.control.restore.restore_rights import check_identity
from strongroom.control.wal import wal_moments
from strongroom.model import arm
from strongroom.model.arm import VaultRef, instance_id_of, job_id_of
from strongroom.model.errors import Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.ids import JobId, OperationId, uuid4
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.resources import guard
from strongroom.model.restore.restore_request import RestoreRequest, read_request
from strongroom.model.wal_moment import FOLLOW
from strongroom.model.work.job import JobKind

VALIDATE = "Microsoft.DataProtection/backupVaults/backupInstances/validateRestore/action"
RESTORE = "Microsoft.DataProtection/backupVaults/backupInstances/restore/action"


def validate_restore(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    request: dict[str, Any],
    request_key: str,
) -> OperationId:
    """Whether it could begin, as far as nobody need look at its target: validations.py does."""

    def look(connection: sa.Connection) -> dict[str, Any]:
        examine(control, connection, caller, (vault, instance_name), request)
        return {"jobId": None}

    scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
    return long_running.act_once(control, caller, VALIDATE, scope, request_key, look)


def trigger_restore(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    request: dict[str, Any],
    request_key: str,
) -> OperationId:
    """Begin a restore; the operation ends at once and names the job."""
    asked = (request, request_key, RESTORE)
    return begin_restore(control, caller, (vault, instance_name), asked)


def begin_restore(
    control: Control,
    caller: Caller,
    asking: tuple[VaultRef, str],
    request: tuple[dict[str, Any], str, str],
    *,
    second: Collection[str] | None = None,
) -> OperationId:
    """`asking` = (vault, instance), `request` = (what, its key, the action that it takes).

    `second`: from the second copy, where these points are.
    """
    what, request_key, action = request

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found, point, asked = examine(control, connection, caller, asking, what)
        if second is not None:
            check_second(point, second)
        order = {**asked.to_order(point), "second": second is not None}
        ask = Ask(guard.RESTORE, scope, order)
        guarded.require_approval(control, connection, caller, found.vault_id, ask)
        job_id = enqueue(control, connection, caller, found, (point, asked, order))
        return {"jobId": job_id_of(control.installation.subscription_id, asking[0], job_id)}

    scope = instance_id_of(control.installation.subscription_id, *asking)
    return long_running.act_once(control, caller, action, scope, request_key, begin)


def check_second(point: RecoveryPoint, there: Collection[str]) -> None:
    """Raises Precondition where the second copy has not got it."""
    if point.id not in there:
        raise Precondition(
            f"recovery point {point.id} is not at the second endpoint yet",
            hint="choose one that fetchSecondaryRecoveryPoints lists",
        )


def enqueue(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    found: Protection,
    what: tuple[RecoveryPoint, RestoreRequest, dict[str, Any]],
) -> JobId:
    """The job, its audit and its story, of `what` = (from where, as asked, its order)."""
    point, asked, order = what
    job_id, now = JobId(str(uuid4(control.chance))), control.clock.now()
    if asked.recovery is not None and asked.part is None:
        begun = wal_moments.begin_apart(connection, found, asked.recovery, now)
        order = {**order, "recovery": msgspec.to_builtins(begun)}
    jobs.add(
        connection,
        job_id,
        found,
        JobKind.RESTORE,
        now,
        rule_name="",
        tag=point.tag,
        user_triggered=True,
        requested_by=caller.principal_id,
        order=order,
        recovery_point_id=point.id,
        sealed_signature=loads.sealed_signature(control, job_id, asked),
    )
    place = asked.target_directory or (asked.part.target_url if asked.part is not None else "")
    told = {"job": job_id, "point": point.id, "directory": place}
    told |= {"copy": "second"} if order["second"] else {}
    where = ("restore/trigger", found.instance_name)
    audit.append(connection, now, caller, where, told)
    control.jobs.enqueue(connection, "restore", f"job:{job_id}", job_id)
    return job_id


def examine(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    instance: tuple[VaultRef, str],
    request: dict[str, Any],
    *,
    placed: bool = True,
) -> tuple[Protection, RecoveryPoint, RestoreRequest]:
    """The request, read and found to be possible. `placed`: it says where to, as all but plans do.

    Raises Invalid, NotFound, Precondition, Forbidden.
    """
    vault, instance_name = instance
    found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
    _check_source(control, found, request)
    own = control.own_storage.url
    asked = read_request(request, control.clock.now(), placed=placed, own=own)
    if asked.moment is not None:
        _find_moment(connection, found, asked)
    point = recovery_points.get(connection, found.instance_id, asked.recovery_point_id)
    if point.state != "Completed":
        raise Precondition(
            f"recovery point {point.id} is {point.state}",
            hint="choose another point: strongroom points NAME",
        )
    if placed or asked.target_directory or asked.part is not None or asked.load is not None:
        loads.settle(control, connection, caller, (found, point), asked)
    if asked.in_place and not asked.target_directory:
        asked.target_directory = _own_directory(found)
    if asked.recovery is None and asked.part is None and asked.load is None:
        asked.recovery = wal_moments.apart(connection, found, point)
    if asked.part is not None and asked.part.target_server:
        asked.part.target_server = _target(
            control, connection, caller, found, asked.part.target_server
        )
    if placed:
        what, signed = (asked.load, asked.part), asked.signature is not None
        check_identity(control, connection, found, what, signed=signed)
    return found, point, asked


def _check_source(control: Control, found: Protection, request: dict[str, Any]) -> None:
    """Whoever names the server that they want back is not given another's data."""
    named = arm.pick_text(request, "sourceResourceId")
    if not named:
        return
    server = arm.read_server_id(named, control.installation.subscription_id)
    mine = found.server_resource_group.lower(), found.server_name.lower()
    if (server.resource_group.lower(), server.name.lower()) != mine:
        raise arm.invalid(
            f"sourceResourceId is {server.name[:64]}, and backup instance {found.instance_name} "
            f"protects {found.server_name}",
            "name the instance that protects it, or leave out sourceResourceId",
        )


def _find_moment(connection: sa.Connection, found: Protection, asked: RestoreRequest) -> None:
    """Which point it is reached from, and through which log."""
    assert asked.moment is not None  # noqa: S101 - the caller has looked
    if asked.load is not None:
        raise Precondition(
            "a moment is not loaded: dumps are of their own time",
            hint="restore it as a server, or take a database or table out: --to-server",
        )
    if asked.moment.kind == FOLLOW and (asked.part is not None or not asked.start):
        raise Precondition(
            "what follows is a server that runs, all of it",
            hint="leave out the part, and start it: --standby --start",
        )
    choice = wal_moments.choose(connection, found, asked.moment)
    asked.recovery_point_id, asked.recovery = choice.point.id, choice.recovery
    asked.reached, asked.log_bytes = choice.reached, choice.log_bytes
    asked.capped = choice.capped


def _own_directory(found: Protection) -> str:
    """Where the server's files lie, as its agent has last seen it."""
    known = str(found.server_facts.get("dataDirectory", ""))
    if not known:
        raise Precondition(
            f"it is not known where the data directory of {found.server_name} lies",
            hint="name it: strongroom restore NAME --in-place --to-dir DIRECTORY",
        )
    return known


def _target(
    control: Control, connection: sa.Connection, caller: Caller, found: Protection, name: str
) -> str:
    """What the agent calls the server to load. Who loads it must be allowed to change it."""
    server = loads.need_writable(control, connection, caller, found, name)
    if server["agent_id"] != found.agent_id:
        raise Precondition(
            f"{name} is looked after by another agent than {found.server_name}",
            hint=f"on the agent's host of {found.server_name}: strongroom server add",
        )
    return str(server["agent_server"])
