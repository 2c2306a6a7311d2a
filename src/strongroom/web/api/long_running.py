"""Operations that clients poll, in every context in which Azure's clients ask."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.basis.control import Control
from strongroom.control.basis.long_running import get_operation
from strongroom.control.protection import instances
from strongroom.control.resources import vaults
from strongroom.model import arm
from strongroom.model.errors import NotFound, from_dict
from strongroom.web.api import wire, wire_jobs
from strongroom.web.api.door import Asked, Call, Here, Vault, does
from strongroom.web.api.wire import Row

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.DataProtection"
_VAULT = _GROUP + "/backupVaults/{vault}"
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
@router.get(_VAULT + "/operationStatus/{operation_id}", openapi_extra=does(OWN))
def status(operation_id: str, here: Here, call: Asked) -> JSONResponse:
    """How far it is."""
    row = get_operation(call.control, call.caller, operation_id)
    home = f"/subscriptions/{here}/providers/Microsoft.DataProtection/locations"
    address = f"{home}/{call.control.installation.location}/operationStatus/{row['id']}"
    headers = {"Retry-After": RETRY_SECONDS} if row["status"] == "Inprogress" else {}
    return JSONResponse(wire_jobs.operation(row, address), headers=headers)


@router.get(_LOCATION + "/operationResults/{operation_id}", openapi_extra=does(OWN))
@router.get(_GROUP + "/operationResults/{operation_id}", openapi_extra=does(OWN))
def results(operation_id: str, here: Here, call: Asked) -> Response:
    """What it made; 202 until it is over."""
    del here
    row = _operation(call, operation_id, "")
    return _pending(call, row) or JSONResponse(wire_jobs.job_info(row))


@router.get(_VAULT + "/operationResults/{operation_id}", openapi_extra=does(OWN))
def vault_result(operation_id: str, ref: Vault, here: Here, call: Asked) -> Response:
    """The vault, when the operation on it is over; 202 until then."""
    row = _operation(call, operation_id, arm.vault_id_of(here, ref))
    if pending := _pending(call, row):
        return pending
    found = vaults.get_vault(call.control, call.caller, ref)
    return JSONResponse(
        wire.vault(here, call.control.installation.tenant_id, found, call.control.regions)
    )


@router.get(
    _VAULT + "/backupInstances/{name}/operationResults/{operation_id}", openapi_extra=does(OWN)
)
def instance_result(operation_id: str, name: str, ref: Vault, here: Here, call: Asked) -> Response:
    """The backup instance, when the operation on it is over; 202 until then."""
    row = _operation(call, operation_id, arm.instance_id_of(here, ref, name))
    if pending := _pending(call, row):
        return pending
    found = instances.get_instance(call.control, call.caller, ref, name)
    return JSONResponse(wire.instance(here, found, call.control.clock.now()))


def _operation(call: Call, operation_id: str, home: str) -> Row:
    """The operation, which is one of `home`'s. Raises what it failed with."""
    row = get_operation(call.control, call.caller, operation_id)
    if not f"{row['resource_id']}/".lower().startswith(f"{home}/".lower() if home else ""):
        raise NotFound(f"there is no operation {operation_id[:64]} of {home}")
    if row["error"]:
        raise from_dict(row["error"])
    return row


def _pending(call: Call, row: Row) -> Response | None:
    if row["status"] != "Inprogress":
        return None
    return accepted(call.control, call.base, row["id"], call.version)
