"""The second copy: what can be restored from it, and restores that need the first for nothing.

`where` is a vault or an instance, and the region that the request names: it must be the second's.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.control import long_running, restores
from strongroom.control.access import require
from strongroom.control.control import Control, need_second
from strongroom.control.jobs import get_job, list_jobs
from strongroom.control.recovery_points import list_recovery_points
from strongroom.control.vaults import READ
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound, Precondition
from strongroom.model.ids import OperationId
from strongroom.model.job import Job
from strongroom.model.recovery_point import RecoveryPoint

_LOCATIONS = "Microsoft.DataProtection/locations"
RESTORE = f"{_LOCATIONS}/crossRegionRestore/action"
VALIDATE = f"{_LOCATIONS}/validateCrossRegionRestore/action"
POINTS = f"{_LOCATIONS}/fetchSecondaryRecoveryPoints/action"
JOB = f"{_LOCATIONS}/fetchCrossRegionRestoreJob/action"
JOBS = f"{_LOCATIONS}/fetchCrossRegionRestoreJobs/action"
Asking = tuple[VaultRef, str]  # vault, name of the instance


def _check_region(control: Control, location: str) -> None:
    known = need_second(control).location
    if location.replace(" ", "").lower() != known.lower():
        raise arm.invalid(f"{location[:60]!r} is not the second region", f"use {known}")


def list_secondary_points(
    control: Control, caller: Caller, where: tuple[Asking, str]
) -> list[RecoveryPoint]:
    """Those of the instance that are at the second endpoint, newest first."""
    (vault, name), location = where
    scope = arm.instance_id_of(control.installation.subscription_id, vault, name)
    with control.database.reading() as connection:
        require(control, connection, caller, POINTS, scope)
    _check_region(control, location)
    found = list_recovery_points(control, caller, vault, name)
    there = need_second(control).points(found[0].instance_id) if found else set()
    return [point for point in found if point.id in there]


def restore_from_second(
    control: Control,
    caller: Caller,
    where: tuple[Asking, str],
    request: dict[str, Any],
    request_key: str,
) -> OperationId:
    """A restore that reads the second copy alone; the operation names the job."""
    asking, location = where

    def check() -> None:
        _check_region(control, location)

    asked = (request, request_key, RESTORE)
    return restores.begin_restore(control, caller, asking, asked, second=check)


def validate_from_second(
    control: Control,
    caller: Caller,
    where: tuple[Asking, str],
    request: dict[str, Any],
    request_key: str,
) -> OperationId:
    """Could it begin now? The operation holds the answer."""
    asking, location = where

    def look(connection: sa.Connection) -> dict[str, Any]:
        _check_region(control, location)
        found, point, _ = restores.examine(control, connection, caller, asking, request)
        if point.id not in need_second(control).points(found.instance_id):
            raise Precondition(
                f"recovery point {point.id} is not at the second endpoint yet",
                hint="choose one that fetchSecondaryRecoveryPoints lists",
            )
        return {"jobId": None}

    scope = arm.instance_id_of(control.installation.subscription_id, *asking)
    return long_running.act_once(control, caller, VALIDATE, scope, request_key, look)


def list_second_jobs(control: Control, caller: Caller, where: tuple[VaultRef, str]) -> list[Job]:
    """The restores from the second copy, newest first."""
    return _second_jobs(control, caller, where, JOBS)


def get_second_job(
    control: Control, caller: Caller, where: tuple[VaultRef, str], job_id: str
) -> Job:
    """One of them."""
    found = _second_jobs(control, caller, where, JOB)
    if job_id not in {job.id for job in found}:
        raise NotFound(f"there is no restore {job_id[:64]} from the second copy")
    return get_job(control, caller, where[0], job_id)


def _second_jobs(
    control: Control, caller: Caller, where: tuple[VaultRef, str], action: str
) -> list[Job]:
    vault, location = where
    scope = arm.vault_id_of(control.installation.subscription_id, vault)
    with control.database.reading() as connection:
        require(control, connection, caller, action, scope)
    _check_region(control, location)
    return [job for job in list_jobs(control, caller, vault) if job.order.get("second")]


def second_copy(control: Control, caller: Caller, vault: VaultRef) -> dict[str, Any]:
    """Where it is and how far behind; empty where there is none. Raises StoreUnavailable."""
    scope = arm.vault_id_of(control.installation.subscription_id, vault)
    with control.database.reading() as connection:
        require(control, connection, caller, READ, scope)
    if control.second is None:
        return {}
    return {"location": control.second.location, **control.second.told()}
