"""What may be asked of a backup instance that is there, beyond its life: routing to it, repair."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.protection import instances, repairs, routing
from strongroom.model import arm
from strongroom.web.api import wire
from strongroom.web.api.door import Asked, Body, Vault, does, member
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"


@router.post(_INSTANCE + "/validateForModifyBackup", openapi_extra=does(repairs.VALIDATE))
def validate_change(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Could this instance be changed so?"""
    asked = instances.read_instance(call.control, ref, member(body, "backupInstance"), None)
    operation = repairs.validate_change(call.control, call.caller, ref, name, asked, call.key)
    return accepted(call.control, call.base, operation, call.version)


@router.post(_INSTANCE + "/sync", openapi_extra=does(repairs.SYNC))
def sync_instance(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Try again what protection failed at."""
    asked = (arm.pick_text(body, "syncType"), call.key)
    operation = repairs.sync_instance(call.control, call.caller, ref, name, asked)
    return accepted(call.control, call.base, operation, call.version)


@router.post(_INSTANCE + "/rehydrate", openapi_extra=does(repairs.REHYDRATE))
def rehydrate(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Refused: nothing lies in an archive tier."""
    del body
    repairs.refuse_rehydrate(call.control, call.caller, ref, name)


@router.get(
    "/{resource:path}/providers/Microsoft.DataProtection/backupInstances",
    openapi_extra=does(routing.ACTION),
)
def list_protecting(resource: str, call: Asked) -> dict[str, Any]:
    """The backup instances that protect a resource."""
    found = routing.list_protecting(call.control, call.caller, f"/{resource}")
    here, now = call.control.installation.subscription_id, call.control.clock.now()
    return {"value": [wire.instance(here, row, now) for row in found]}
