"""Legal holds on backup instances and recovery points: ours, in ARM's form."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.points import holds
from strongroom.control.resources.given_names import names_of_instance
from strongroom.model import arm
from strongroom.model.points.hold import read_hold
from strongroom.web.api import wire_holds
from strongroom.web.api.door import Asked, Body, Here, Vault, does
from strongroom.web.api.long_running import accepted, addresses
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_HOLDS = VAULT + "/backupInstances/{name}/legalHolds"


@router.put(_HOLDS + "/{hold}", openapi_extra=does(holds.WRITE))
def put_hold(
    name: str, hold: str, ref: Vault, here: Here, body: Body, call: Asked
) -> JSONResponse:
    """Hold an instance with all that it has and will have, or one `recoveryPointId` of it."""
    wish = read_hold(hold, arm.pick_object(body, "properties"))
    row, operation, is_new = holds.set_hold(call.control, call.caller, (ref, name), wish, call.key)
    headers = addresses(call.control, call.base, operation, call.version)
    answer = wire_holds.hold(here, *names_of_instance(call.control, ref, name), row)
    return JSONResponse(answer, 201 if is_new else 200, headers)


@router.get(_HOLDS + "/{hold}", openapi_extra=does(holds.READ))
def get_hold(name: str, hold: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One legal hold."""
    row = holds.get_hold(call.control, call.caller, (ref, name), hold)
    return wire_holds.hold(here, *names_of_instance(call.control, ref, name), row)


@router.get(_HOLDS, openapi_extra=does(holds.READ))
def list_holds(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """The legal holds of an instance and of its points."""
    found = holds.list_holds(call.control, call.caller, (ref, name))
    place = names_of_instance(call.control, ref, name)
    return {"value": [wire_holds.hold(here, *place, row) for row in found]}


@router.delete(_HOLDS + "/{hold}", openapi_extra=does(holds.DELETE))
def release_hold(name: str, hold: str, ref: Vault, call: Asked) -> Response:
    """Release one; it holds until storage has let go as well."""
    operation = holds.release_hold(call.control, call.caller, (ref, name), hold, call.key)
    if operation is None:
        return Response(status_code=204)
    return accepted(call.control, call.base, operation, call.version)
