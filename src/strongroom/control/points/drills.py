"""Drill a recovery point, because somebody asks or a setting says so; look at what was found."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import drills, recovery_points
from strongroom.catalog.protection import instances, protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model.arm import VaultRef, instance_id_of, job_id_of
from strongroom.model.errors import Conflict
from strongroom.model.identities.access import Caller
from strongroom.model.ids import InstanceId, JobId, OperationId, uuid4
from strongroom.model.points.drill_turns import Turn, due, next_at
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.protection_state import ABLE
from strongroom.model.work.drill import Assertion, Drill
from strongroom.model.work.job import JobKind

_DRILLS = "Microsoft.DataProtection/backupVaults/backupInstances/recoveryPoints/drill"
ACTION = f"{_DRILLS}/action"
READ = f"{_DRILLS}s/read"


def trigger_drill(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    names: tuple[str, str],
    assertions: Sequence[Assertion],
    request_key: str,
) -> OperationId:
    """Begin it for `names` = (instance, point); the operation ends at once and names the job.

    Raises NotFound for the point, Conflict while another drill of the instance is under way.
    """
    instance_name, point_id = names
    scope = instance_id_of(control.installation.subscription_id, vault, instance_name)

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        point = recovery_points.get(connection, found.instance_id, point_id)
        under_way = jobs.running(connection, found.instance_id, JobKind.DRILL)
        if under_way is not None:
            raise Conflict(
                f"a drill of {found.instance_name} is under way",
                hint=f"Wait for it: strongroom jobs --follow {under_way}",
            )
        order = {"assertions": msgspec.to_builtins(list(assertions))} if assertions else {}
        job_id = _begin(control, connection, found, point, (caller, order))
        return {"jobId": job_id_of(control.installation.subscription_id, vault, job_id)}

    return long_running.act_once(control, caller, ACTION, scope, request_key, begin)


def may_be_due(connection: sa.Connection, now: Instant) -> list[InstanceId]:
    """The instances of which a drill may be due, asked of all at once: mostly there is none.

    Left out is what asks for none, and what has had both of its turns not long enough ago.
    """
    days = {
        of: settings_of(p).drill_days for of, p in instances.properties_of_all(connection).items()
    }
    asked = {of: each for of, each in days.items() if each}
    had = drills.attempts_of_all(connection) if asked else {}
    again = {of: next_at(each, had.get(of, {}), elders=True) for of, each in asked.items()}
    return [InstanceId(of) for of, at in again.items() if at is None or at <= now]


def fire_due_drill(control: Control, instance_id: InstanceId) -> JobId | None:
    """Begin the drill that the instance's settings ask for now; None when none is due.

    Not while another job of the instance is under way: it is due still when that has ended.
    """
    now = control.clock.now()
    with control.database.writing() as connection:
        found = protection.by_id(connection, instance_id)
        days = settings_of(found.properties).drill_days
        if not days or found.state not in ABLE or jobs.is_busy(connection, instance_id):
            return None
        turn = due(
            days,
            recovery_points.list_of_instance(connection, instance_id),
            drills.last_attempts(connection, instance_id),
            drills.last_of_points(connection, instance_id),
            now,
        )
        return None if turn is None else _fire(control, connection, found, turn)


def _fire(control: Control, connection: sa.Connection, found: Protection, turn: Turn) -> JobId:
    return _begin(control, connection, found, turn.point, ("schedule", {"turn": turn.turn}))


def _begin(
    control: Control,
    connection: sa.Connection,
    found: Protection,
    point: RecoveryPoint,
    asked: tuple[Caller | str, dict[str, Any]],
) -> JobId:
    """`asked`: by whom, and with which order."""
    who, order = asked
    job_id, now = JobId(str(uuid4(control.chance))), control.clock.now()
    jobs.add(
        connection,
        job_id,
        found,
        JobKind.DRILL,
        now,
        rule_name="",
        tag=point.tag,
        user_triggered=isinstance(who, Caller),
        requested_by=who.principal_id if isinstance(who, Caller) else who,
        order={"recovery_point_time": point.taken_at.format_iso(), **order},
        recovery_point_id=point.id,
    )
    what = {"job": job_id, "point": point.id}
    audit.append(connection, now, who, ("drill/trigger", found.instance_name), what)
    control.jobs.enqueue(connection, "drill", f"job:{job_id}", job_id)
    return job_id


def list_drills(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str, point_id: str = ""
) -> list[Drill]:
    """What drills of an instance, or of one of its points, have found; the newest first."""
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, READ, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        rows = drills.list_of_instance(connection, found.instance_id)
    return [row for row in rows if not point_id or row.recovery_point_id == point_id.lower()]
