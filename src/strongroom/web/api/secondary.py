"""The second copy, in Azure's words: the secondary region and restores across regions.

What a list is of stands in the body of its POST. Azure's clients ask for the next page with GET
and without a body: there it stands in the query of the link.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from strongroom.control.resources.given_names import names_of_instance
from strongroom.control.resources.vaults import READ
from strongroom.control.restore import secondary
from strongroom.control.restore.secondary import Place
from strongroom.model import arm
from strongroom.model.ids import OperationId
from strongroom.model.work.job import Job
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import Asked, Body, Call, Here, Vault, does, member
from strongroom.web.api.instances import read_between
from strongroom.web.api.jobs import read_filter
from strongroom.web.api.long_running import accepted
from strongroom.web.api.looking import validated
from strongroom.web.api.paging import Filter, Skip, answer
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_LOCATION = (
    "/subscriptions/{subscription_id}/resourceGroups/{group}/providers/Microsoft.DataProtection"
    "/locations/{location}"
)
_REGION, _INSTANCE, _VAULT = "sourceRegion", "sourceBackupInstanceId", "sourceBackupVaultId"
Region = Annotated[str, Query(alias=_REGION, max_length=60)]
InstanceId = Annotated[str, Query(alias=_INSTANCE, max_length=600)]
VaultId = Annotated[str, Query(alias=_VAULT, max_length=600)]


def _instance(
    location: str, here: Here, body: Body, region: Region = "", instance: InstanceId = ""
) -> Place:
    """The source of a restore stands in the details; of a listing, in the body itself."""
    told = arm.pick_object(body, "crossRegionRestoreDetails") or body
    source = arm.pick_text(told, _INSTANCE) or instance
    vault, name = arm.read_vault_or_instance_id(source, here)
    if not name:
        raise arm.invalid(f"{_INSTANCE} names no instance", "send its whole id")
    return Place(vault, name, location, arm.pick_text(told, _REGION) or region)


def _vault(
    location: str, here: Here, body: Body, region: Region = "", vault: VaultId = ""
) -> Place:
    source = arm.pick_text(body, _VAULT) or vault
    found, _ = arm.read_vault_or_instance_id(source, here)
    return Place(found, "", location, arm.pick_text(body, _REGION) or region)


OfInstance = Annotated[Place, Depends(_instance)]
OfVault = Annotated[Place, Depends(_vault)]


@router.post(_LOCATION + "/crossRegionRestore", openapi_extra=does(secondary.RESTORE))
def restore_second(place: OfInstance, body: Body, call: Asked) -> Response:
    """A restore that reads the second copy alone."""
    asked = member(body, "restoreRequestObject")
    return _begun(
        call, secondary.restore_from_second(call.control, call.caller, place, asked, call.key)
    )


@router.post(_LOCATION + "/validateCrossRegionRestore", openapi_extra=does(secondary.VALIDATE))
async def validate_second(
    place: OfInstance, body: Body, call: Asked, request: Request
) -> Response:
    """Could this restore begin now?"""
    asked, begin = member(body, "restoreRequestObject"), secondary.begin_validation
    told = call.control, call.caller, place, asked, call.key
    return await validated(request, call, await request.app.state.run(begin, *told))


@router.get(_LOCATION + "/fetchSecondaryRecoveryPoints", openapi_extra=does(secondary.POINTS))
@router.post(_LOCATION + "/fetchSecondaryRecoveryPoints", openapi_extra=does(secondary.POINTS))
def list_second_points(
    place: OfInstance, here: Here, call: Asked, skip: Skip = "", wanted: Filter = ""
) -> Response:
    """The points that are whole at the second, newest first, a hundred a page; GET: the next."""
    asked = call.control, call.caller, place, skip, read_between(wanted)
    found, token = secondary.page_secondary_points(*asked)
    names = names_of_instance(call.control, place.vault, place.instance)
    rows = [wire_jobs.recovery_point(here, *names, each) for each in found]
    source = arm.instance_id_of(here, place.vault, place.instance)
    return answer(call, rows, token, wanted, {_REGION: place.source, _INSTANCE: source})


@router.get(_LOCATION + "/fetchCrossRegionRestoreJobs", openapi_extra=does(secondary.JOBS))
@router.post(_LOCATION + "/fetchCrossRegionRestoreJobs", openapi_extra=does(secondary.JOBS))
def list_second_jobs(
    place: OfVault, here: Here, call: Asked, skip: Skip = "", wanted: Filter = ""
) -> Response:
    """The restores from the second copy, newest first, a hundred a page; GET: the next."""
    asked = call.control, call.caller, place, skip, read_filter(wanted)
    found, token = secondary.page_second_jobs(*asked)
    rows = [_job(call, here, job) for job in found]
    source = arm.vault_id_of(here, place.vault)
    return answer(call, rows, token, wanted, {_REGION: place.source, _VAULT: source})


@router.post(_LOCATION + "/fetchCrossRegionRestoreJob", openapi_extra=does(secondary.JOB))
def get_second_job(place: OfVault, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """One of them."""
    job_id = arm.pick_text(body, "jobId").rpartition("/")[2]
    found = secondary.get_second_job(call.control, call.caller, place, job_id)
    return _job(call, here, found)


@router.get(VAULT + "/secondCopy", openapi_extra=does(READ))
def second_copy(ref: Vault, call: Asked) -> dict[str, Any]:
    """Where the second copy is, and how far behind; empty where there is none."""
    return secondary.second_copy(call.control, call.caller, ref)


def _begun(call: Call, operation: OperationId) -> Response:
    return accepted(call.control, call.base, operation, call.version)


def _job(call: Call, here: str, job: Job) -> dict[str, Any]:
    told = wire_jobs.job(here, job, call.control.clock.now())
    told["properties"]["isCrossRegionRestore"] = True
    return told
