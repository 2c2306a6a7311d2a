"""Deleted vaults; to have one back is a PUT of the vault with `x-ms-deleted-vault-id`."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.resources import deleted_vaults
from strongroom.web.api import wire_deleted
from strongroom.web.api.door import Asked, Here, does
from strongroom.web.api.paging import Skip, listed

router = APIRouter()
_DELETED = (
    "/subscriptions/{subscription_id}/providers/Microsoft.DataProtection"
    "/locations/{location}/deletedVaults"
)


@router.get(_DELETED, openapi_extra=does(deleted_vaults.READ))
def list_deleted_vaults(here: Here, call: Asked, skip: Skip = "") -> Response:
    """The soft-deleted vaults of the subscription, by name, a hundred a page."""
    tenant = call.control.installation.tenant_id
    found = deleted_vaults.list_deleted_vaults(call.control, call.caller)
    return listed(call, [wire_deleted.vault(here, tenant, *each) for each in found], skip)


@router.get(_DELETED + "/{name}", openapi_extra=does(deleted_vaults.READ))
def get_deleted_vault(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One of them."""
    found = deleted_vaults.get_deleted_vault(call.control, call.caller, name)
    return wire_deleted.vault(here, call.control.installation.tenant_id, *found)
