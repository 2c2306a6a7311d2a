"""Collect what no recovery point of an instance needs, because somebody asks."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.control import Control
from strongroom.model.arm import VaultRef, instance_id_of, job_id_of
from strongroom.model.errors import Invalid
from strongroom.model.identities.access import Caller
from strongroom.model.ids import JobId, OperationId, uuid4
from strongroom.model.work.job import JobKind

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/collectGarbage/action"
GRACE_DAYS = 7.0
LEAST_DAYS = 1.0
_MOST_DAYS = 3650.0


def trigger_collection(  # noqa: PLR0913 - a wish each, by name
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    *,
    grace_days: float,
    dry_run: bool,
    request_key: str,
) -> OperationId:
    """Begin a pass; the operation ends at once and names the job. Raises Invalid for the days."""
    if not LEAST_DAYS <= grace_days <= _MOST_DAYS:
        raise Invalid(
            f"a grace of {grace_days} days is not between {LEAST_DAYS:g} and {_MOST_DAYS:g}",
            hint="leave it out for seven days",
        )
    order = {"grace_days": grace_days, "dry_run": dry_run}

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        job_id, now = JobId(str(uuid4(control.chance))), control.clock.now()
        asked = {"rule_name": "", "tag": "", "user_triggered": True}
        asked |= {"requested_by": caller.principal_id, "order": order}
        jobs.add(connection, job_id, found, JobKind.COLLECT, now, **asked)
        where = ("garbage/trigger", found.instance_name)
        audit.append(connection, now, caller, where, {"job": job_id, **order})
        control.jobs.enqueue(connection, "collect-garbage", f"job:{job_id}", job_id)
        return {"jobId": job_id_of(control.installation.subscription_id, vault, job_id)}

    scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
    return long_running.act_once(control, caller, ACTION, scope, request_key, begin)
