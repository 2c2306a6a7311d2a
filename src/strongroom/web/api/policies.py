"""Backup policies: Azure's operations, and a look ahead that is ours."""

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Date, Instant

from strongroom.control.protection import policies, previews, reapplying
from strongroom.control.resources.given_names import names_of_vault
from strongroom.model import arm
from strongroom.web.api import wire_policies
from strongroom.web.api.door import Asked, Body, Here, Vault, does, member
from strongroom.web.api.long_running import accepted
from strongroom.web.api.paging import Skip, listed
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_POLICIES = VAULT + "/backupPolicies"
_POLICY = _POLICIES + "/{name}"
_YEARS, _COUNT, _MOST_COUNT = 10, 14, 10_000


@router.put(_POLICY, openapi_extra=does(policies.WRITE))
def put_policy(name: str, ref: Vault, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Create or change a policy."""
    row = policies.put_policy(call.control, call.caller, ref, name, member(body, "properties"))
    return wire_policies.policy(here, row)


@router.get(_POLICY, openapi_extra=does(policies.READ))
def get_policy(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One policy."""
    found = policies.get_policy(call.control, call.caller, ref, name)
    return wire_policies.policy(here, found)


@router.get(_POLICIES, openapi_extra=does(policies.READ))
def list_policies(ref: Vault, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The policies of a vault, by name, a hundred a page."""
    found = policies.list_policies(call.control, call.caller, ref)
    return listed(call, [wire_policies.policy(here, row) for row in found], skip)


@router.delete(_POLICY, openapi_extra=does(policies.DELETE))
def delete_policy(name: str, ref: Vault, call: Asked) -> Response:
    """A policy that protects nothing goes."""
    gone = policies.delete_policy(call.control, call.caller, ref, name)
    return Response(status_code=200 if gone else 204)


@router.get(_POLICY + "/versions", openapi_extra=does(policies.READ))
def list_versions(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """What a policy has said since it was made, the newest version first."""
    found = policies.list_versions(call.control, call.caller, ref, name)
    home = names_of_vault(call.control, ref)
    return {"value": [wire_policies.version(here, home, row) for row in found]}


@router.post(_POLICY + "/preview", openapi_extra=does(policies.READ))
def preview_policy(name: str, ref: Vault, here: Here, body: Body, call: Asked) -> Response:
    """Which points it keeps, and why, in the years to come; of `properties`, if they are sent."""
    del here
    sent = arm.pick(body, "properties") is not None
    found = previews.preview_policy(
        call.control,
        call.caller,
        ref,
        name,
        properties=member(body, "properties") if sent else None,
        start=_moment(arm.pick_text(body, "from")),
        years=_number(body, "years", _YEARS, 100),
    )
    count = _number(body, "count", _COUNT, _MOST_COUNT)
    told = wire_policies.preview(found, _day(arm.pick_text(body, "on")), count)
    return Response(msgspec.json.encode(told), media_type="application/json")


@router.post(_POLICY + "/applyToPoints", openapi_extra=does(reapplying.ACTION))
def apply_policy(name: str, ref: Vault, here: Here, body: Body, call: Asked) -> Response:
    """Give the points that exist the ends that it names now; `dryRun` only tells."""
    del here
    if arm.pick(body, "dryRun") is True:
        found = reapplying.plan_application(call.control, call.caller, ref, name)
        told = {"value": [wire_policies.change(*each) for each in found]}
        return Response(msgspec.json.encode(told), media_type="application/json")
    operation = reapplying.apply_policy(call.control, call.caller, ref, name, call.key)
    return accepted(call.control, call.base, operation, call.version)


def _day(text: str) -> Date | None:
    if not text:
        return None
    try:
        return Date.parse_iso(text)
    except ValueError as error:
        raise arm.invalid(f"on: {text[:40]!r} is no day", "write it as 2031-02-28") from error


def _moment(text: str) -> Instant | None:
    """A time, or a day, which begins in UTC."""
    if not text:
        return None
    try:
        return Instant.parse_iso(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except ValueError as error:
        hint = "write it as 2031-02-28 or 2031-02-28T02:00:00Z"
        raise arm.invalid(f"from: {text[:40]!r} is no time", hint) from error


def _number(body: dict[str, Any], name: str, default: int, most: int) -> int:
    found = arm.pick(body, name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
        raise arm.invalid(f"{name} is not a number of them", f"use 0 to {most}")
    return found
