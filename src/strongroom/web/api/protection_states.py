"""Stop, suspend and resume the protection of a backup instance."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.protection import protection_states
from strongroom.model.protection import protection_state as states
from strongroom.web.api.door import Asked, Body, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_INSTANCE = VAULT + "/backupInstances/{name}"


def _does(act: states.Act) -> dict[str, Any]:
    return does(protection_states.action_of(act))


@router.post(_INSTANCE + "/stopProtection", openapi_extra=_does(states.STOP))
def stop_protection(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Take no more backups, and keep what there is for ever."""
    return _change(name, ref, body, call, states.STOP)


@router.post(_INSTANCE + "/suspendBackups", openapi_extra=_does(states.SUSPEND))
def suspend_backups(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Take no more backups; points end as the policy says, the newest good one stays."""
    return _change(name, ref, body, call, states.SUSPEND)


@router.post(_INSTANCE + "/resumeProtection", openapi_extra=_does(states.RESUME_PROTECTION))
def resume_protection(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Back to the policy after a stop, or a suspension; what has ended meanwhile goes."""
    return _change(name, ref, body, call, states.RESUME_PROTECTION)


@router.post(_INSTANCE + "/resumeBackups", openapi_extra=_does(states.RESUME_BACKUPS))
def resume_backups(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """Back to the policy after backups were suspended."""
    return _change(name, ref, body, call, states.RESUME_BACKUPS)


def _change(name: str, ref: Vault, body: Body, call: Asked, act: states.Act) -> Response:
    del body  # resourceGuardOperationRequests, if any, are read at the door
    operation = protection_states.change_state(call.control, call.caller, ref, name, act, call.key)
    return accepted(call.control, call.base, operation, call.version)
