"""Backup vaults."""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response

from strongroom.control.resources import deleted_vaults, vaults
from strongroom.web.api import wire
from strongroom.web.api.door import Asked, AsSeen, Body, Call, Here, Vault, does
from strongroom.web.api.long_running import addresses
from strongroom.web.api.paging import Skip, listed

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_VAULTS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DataProtection/backupVaults"
)
VAULT = _VAULTS + "/{vault}"
_LOCATION = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DataProtection/locations/{location}"
)


def told(call: Call, here: str, row: wire.Row) -> dict[str, Any]:
    """A vault, as every answer tells of it."""
    return wire.vault(here, call.control.installation.tenant_id, row, call.control.regions)


@router.put(VAULT, openapi_extra=does(vaults.WRITE))
def put_vault(
    ref: Vault,
    here: Here,
    body: Body,
    call: Asked,
    seen: AsSeen,
    deleted: Annotated[str, Header(alias="x-ms-deleted-vault-id", max_length=512)] = "",
) -> JSONResponse:
    """Create a vault, change one, or have a deleted one back."""
    row, operation, is_new = vaults.put_vault(
        call.control, call.caller, ref, body, seen, call.key, deleted_id=deleted
    )
    answer = told(call, here, row)
    headers = addresses(call.control, call.base, operation, call.version)
    return JSONResponse(answer, 201 if is_new else 200, headers)


@router.patch(VAULT, openapi_extra=does(vaults.WRITE))
def patch_vault(ref: Vault, here: Here, body: Body, call: Asked, seen: AsSeen) -> dict[str, Any]:
    """Change tags or properties."""
    row = vaults.patch_vault(call.control, call.caller, ref, body, seen)
    return told(call, here, row)


@router.get(VAULT, openapi_extra=does(vaults.READ))
def get_vault(ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One vault."""
    row = vaults.get_vault(call.control, call.caller, ref)
    return told(call, here, row)


@router.delete(VAULT, openapi_extra=does(deleted_vaults.DELETE))
def delete_vault(ref: Vault, call: Asked, seen: AsSeen) -> Response:
    """A vault that protects nothing; it goes when it is purged."""
    gone = deleted_vaults.delete_vault(call.control, call.caller, ref, seen)
    return Response(status_code=200 if gone else 204)


@router.post(_LOCATION + "/checkNameAvailability", openapi_extra=does(vaults.CHECK_NAME))
def check_name(group: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Could a new vault have this name?"""
    del here
    available, reason, message = vaults.check_vault_name(call.control, call.caller, group, body)
    return {"nameAvailable": available, "reason": reason, "message": message}


@router.get(_VAULTS, openapi_extra=does(vaults.READ))
def list_vaults(group: str, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The vaults of a resource group, by name, a hundred a page."""
    found = vaults.list_vaults(call.control, call.caller, group)
    return listed(call, [told(call, here, row) for row in found], skip)


@router.get(
    _SUBSCRIPTION + "/providers/Microsoft.DataProtection/backupVaults",
    openapi_extra=does(vaults.READ),
)
def list_all_vaults(here: Here, call: Asked, skip: Skip = "") -> Response:
    """The vaults of the subscription, by name, a hundred a page."""
    found = vaults.list_vaults(call.control, call.caller, None)
    return listed(call, [told(call, here, row) for row in found], skip)
