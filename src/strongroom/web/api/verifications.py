"""Verify a recovery point: ours, not Azure's."""

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.points import verifications
from strongroom.web.api.door import Asked, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_POINT = VAULT + "/backupInstances/{name}/recoveryPoints/{point}"


@router.post(_POINT + "/verify", openapi_extra=does(verifications.ACTION))
def verify(name: str, point: str, ref: Vault, call: Asked) -> Response:
    """Read every byte of a point and prove it."""
    operation = verifications.trigger_verification(
        call.control, call.caller, ref, name, point, call.key
    )
    return accepted(call.control, call.base, operation, call.version)
