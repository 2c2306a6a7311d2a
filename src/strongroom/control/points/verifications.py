"""Verify a recovery point because somebody asks: a job that reads every byte of it."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.control import Control
from strongroom.model.arm import VaultRef, instance_id_of, job_id_of
from strongroom.model.identities.access import Caller
from strongroom.model.ids import JobId, OperationId, uuid4
from strongroom.model.work.job import JobKind

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/recoveryPoints/verify/action"


def trigger_verification(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    point_id: str,
    request_key: str,
) -> OperationId:
    """Begin it; the operation ends at once and names the job. Raises NotFound for the point."""

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        point = recovery_points.get(connection, found.instance_id, point_id)
        job_id, now = JobId(str(uuid4(control.chance))), control.clock.now()
        jobs.add(
            connection,
            job_id,
            found,
            JobKind.VERIFY,
            now,
            rule_name="",
            tag=point.tag,
            user_triggered=True,
            requested_by=caller.principal_id,
            order={"recovery_point_time": point.taken_at.format_iso()},
            recovery_point_id=point.id,
        )
        what = {"job": job_id, "point": point.id}
        where = ("verify/trigger", found.instance_name)
        audit.append(connection, now, caller, where, what)
        control.jobs.enqueue(connection, "verify", f"job:{job_id}", job_id)
        return {"jobId": job_id_of(control.installation.subscription_id, vault, job_id)}

    scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
    return long_running.act_once(control, caller, ACTION, scope, request_key, begin)
