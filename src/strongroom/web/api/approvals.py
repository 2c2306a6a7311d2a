"""What waits for a second person, and their decision."""

from typing import Any

from fastapi import APIRouter

from strongroom.control.oversight import approvals
from strongroom.model import arm
from strongroom.web.api import wire_guards
from strongroom.web.api.door import Asked, Body, Here, does

router = APIRouter()
_APPROVALS = "/subscriptions/{subscription_id}/providers/Microsoft.DataProtection/approvals"
_SEES = "(whoever asked, or may see the guard)"
_DECIDES = "(whoever may approve at the guard)"
_WITHDRAWS = "(whoever asked, or may approve at the guard)"


def _told(call: Asked, found: approvals.Approval) -> dict[str, Any]:
    row, place = found
    return wire_guards.approval(row, place, approvals.state_of(call.control, row))


@router.get(_APPROVALS, openapi_extra=does(_SEES))
def list_approvals(here: Here, call: Asked) -> dict[str, Any]:
    """What was asked for, and what became of it; the newest first."""
    del here
    found = approvals.list_approvals(call.control, call.caller)
    return {"value": [_told(call, each) for each in found]}


@router.get(_APPROVALS + "/{name}", openapi_extra=does(_SEES))
def get_approval(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One request for an approval."""
    del here
    return _told(call, approvals.get_approval(call.control, call.caller, name))


@router.post(_APPROVALS + "/{name}/grant", openapi_extra=does(_DECIDES))
def grant(name: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Let it through, once, within `hours`."""
    del here
    hours = arm.pick(body, "hours")
    if hours is not None and not isinstance(hours, int | float):
        raise arm.invalid("hours is not a number", "leave it out, or send such as 8")
    return _told(call, approvals.grant_approval(call.control, call.caller, name, hours))


@router.post(_APPROVALS + "/{name}/deny", openapi_extra=does(_DECIDES))
def deny(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """Say no."""
    del here
    return _told(call, approvals.deny_approval(call.control, call.caller, name))


@router.post(_APPROVALS + "/{name}/withdraw", openapi_extra=does(_WITHDRAWS))
def withdraw(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """Take it back before it is used."""
    del here
    return _told(call, approvals.withdraw_approval(call.control, call.caller, name))
