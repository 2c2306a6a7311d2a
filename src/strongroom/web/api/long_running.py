"""Operations that clients poll, in every context in which Azure's clients ask."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.control import Control
from strongroom.control.long_running import get_operation
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import ApiVersion, Base, Here, Means, Who, does

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.DataProtection"
_LOCATION = _SUBSCRIPTION + "/providers/Microsoft.DataProtection/locations/{location}"
RETRY_SECONDS = "1"
OWN = "(whoever began the operation)"


def addresses(control: Control, base: str, operation_id: str, version: str) -> dict[str, str]:
    """Both headers of every 201 and 202, absolute, with whole seconds to wait."""
    home = f"{base}/subscriptions/{control.installation.subscription_id}"
    home += f"/providers/Microsoft.DataProtection/locations/{control.installation.location}"
    return {
        "Azure-AsyncOperation": f"{home}/operationStatus/{operation_id}?api-version={version}",
        "Location": f"{home}/operationResults/{operation_id}?api-version={version}",
        "Retry-After": RETRY_SECONDS,
    }


def accepted(control: Control, base: str, operation_id: str, version: str) -> Response:
    """202: poll for it."""
    return Response(status_code=202, headers=addresses(control, base, operation_id, version))


@router.get(_LOCATION + "/operationStatus/{operation_id}", openapi_extra=does(OWN))
@router.get(_GROUP + "/operationStatus/{operation_id}", openapi_extra=does(OWN))
@router.get(
    _GROUP + "/backupVaults/{vault}/operationStatus/{operation_id}", openapi_extra=does(OWN)
)
def status(
    operation_id: str, control: Means, caller: Who, here: Here, version: ApiVersion
) -> JSONResponse:
    """How far it is."""
    row = get_operation(control, caller, operation_id)
    home = f"/subscriptions/{here}/providers/Microsoft.DataProtection/locations"
    address = f"{home}/{control.installation.location}/operationStatus/{row['id']}"
    del version
    headers = {"Retry-After": RETRY_SECONDS} if row["status"] == "Inprogress" else {}
    return JSONResponse(wire_jobs.operation(row, address), headers=headers)


@router.get(_LOCATION + "/operationResults/{operation_id}", openapi_extra=does(OWN))
@router.get(_GROUP + "/operationResults/{operation_id}", openapi_extra=does(OWN))
@router.get(
    _GROUP + "/backupVaults/{vault}/operationResults/{operation_id}", openapi_extra=does(OWN)
)
@router.get(
    _GROUP + "/backupVaults/{vault}/backupInstances/{name}/operationResults/{operation_id}",
    openapi_extra=does(OWN),
)
def results(
    operation_id: str, control: Means, caller: Who, here: Here, base: Base, version: ApiVersion
) -> Response:
    """What it made; 202 until it is over."""
    del here
    row = get_operation(control, caller, operation_id)
    if row["status"] == "Inprogress":
        return accepted(control, base, row["id"], version)
    answer: dict[str, Any] = wire_jobs.job_info(row)
    return JSONResponse(answer)
