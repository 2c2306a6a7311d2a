"""Drills of recovery points, and what holds expiry: ours, not Azure's."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.points import drills, expiry_holds
from strongroom.model import arm
from strongroom.model.work.drill import assertions_of
from strongroom.web.api.door import Asked, Body, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT
from strongroom.web.api.wire_drills import drill as as_wire

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"
_POINT = _INSTANCE + "/recoveryPoints/{point}"


@router.post(_POINT + "/drill", openapi_extra=does(drills.ACTION))
def drill(name: str, point: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Restore a point into a throw-away server and try it."""
    asked = assertions_of(arm.pick(body, "assertions"))
    operation = drills.trigger_drill(
        call.control, call.caller, ref, (name, point), asked, call.key
    )
    return accepted(call.control, call.base, operation, call.version)


@router.get(_POINT + "/drills", openapi_extra=does(drills.READ))
def list_of_point(name: str, point: str, ref: Vault, call: Asked) -> dict[str, Any]:
    """What drills of a point have found, the newest first."""
    found = drills.list_drills(call.control, call.caller, ref, name, point)
    return {"value": [as_wire(each) for each in found]}


@router.get(_INSTANCE + "/drills", openapi_extra=does(drills.READ))
def list_of_instance(name: str, ref: Vault, call: Asked) -> dict[str, Any]:
    """The same of all points of an instance."""
    found = drills.list_drills(call.control, call.caller, ref, name)
    return {"value": [as_wire(each) for each in found]}


@router.post(_INSTANCE + "/releaseExpiry", openapi_extra=does(expiry_holds.ACTION))
def release_expiry(name: str, ref: Vault, call: Asked) -> Response:
    """Let points expire again that an anomaly or a failed drill holds."""
    operation = expiry_holds.release_expiry(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)
