"""The second copy, in Azure's words: the secondary region and restores across regions."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control import secondary
from strongroom.control.secondary import Asking
from strongroom.control.vaults import READ
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import Asked, Body, Call, Here, Vault, does, member
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_LOCATION = (
    "/subscriptions/{subscription_id}/resourceGroups/{group}/providers/Microsoft.DataProtection"
    "/locations/{location}"
)


@router.post(_LOCATION + "/crossRegionRestore", openapi_extra=does(secondary.RESTORE))
def restore_second(location: str, here: Here, body: Body, call: Asked) -> Response:
    """A restore that reads the second copy alone."""
    asking, asked = _asking(body, here), member(body, "restoreRequestObject")
    operation = secondary.restore_from_second(
        call.control, call.caller, (asking, location), asked, call.key
    )
    return accepted(call.control, call.base, operation, call.version)


@router.post(_LOCATION + "/validateCrossRegionRestore", openapi_extra=does(secondary.VALIDATE))
def validate_second(location: str, here: Here, body: Body, call: Asked) -> Response:
    """Could this restore begin now?"""
    asking, asked = _asking(body, here), member(body, "restoreRequestObject")
    operation = secondary.validate_from_second(
        call.control, call.caller, (asking, location), asked, call.key
    )
    return accepted(call.control, call.base, operation, call.version)


@router.post(_LOCATION + "/fetchSecondaryRecoveryPoints", openapi_extra=does(secondary.POINTS))
def list_second_points(location: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """The points that are at the second endpoint, newest first."""
    vault, name = _instance(body, here)
    found = secondary.list_secondary_points(call.control, call.caller, ((vault, name), location))
    return {"value": [wire_jobs.recovery_point(here, vault, name, point) for point in found]}


@router.post(_LOCATION + "/fetchCrossRegionRestoreJobs", openapi_extra=does(secondary.JOBS))
def list_second_jobs(location: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """The restores from the second copy."""
    vault = _vault(body, here)
    found = secondary.list_second_jobs(call.control, call.caller, (vault, location))
    return {"value": [_job(call, here, vault, job) for job in found]}


@router.post(_LOCATION + "/fetchCrossRegionRestoreJob", openapi_extra=does(secondary.JOB))
def get_second_job(location: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """One of them."""
    vault, job_id = _vault(body, here), arm.pick_text(body, "jobId").rpartition("/")[2]
    found = secondary.get_second_job(call.control, call.caller, (vault, location), job_id)
    return _job(call, here, vault, found)


@router.get(VAULT + "/secondCopy", openapi_extra=does(READ))
def second_copy(ref: Vault, call: Asked) -> dict[str, Any]:
    """Where the second copy is, and how far behind; empty where there is none."""
    return secondary.second_copy(call.control, call.caller, ref)


def _asking(body: dict[str, Any], here: str) -> Asking:
    return _instance(member(body, "crossRegionRestoreDetails"), here)


def _instance(body: dict[str, Any], here: str) -> Asking:
    found = arm.read_vault_or_instance_id(arm.pick_text(body, "sourceBackupInstanceId"), here)
    if not found[1]:
        raise arm.invalid("sourceBackupInstanceId names no instance", "send its whole id")
    return found


def _vault(body: dict[str, Any], here: str) -> VaultRef:
    return arm.read_vault_or_instance_id(arm.pick_text(body, "sourceBackupVaultId"), here)[0]


def _job(call: Call, here: str, vault: VaultRef, job: Any) -> dict[str, Any]:  # noqa: ANN401
    told = wire_jobs.job(here, vault, job, call.control.clock.now())
    told["properties"]["isCrossRegionRestore"] = True
    return told
