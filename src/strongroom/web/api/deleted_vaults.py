"""Deleted vaults; to have one back is a PUT of the vault with `x-ms-deleted-vault-id`."""

from typing import Any

from fastapi import APIRouter

from strongroom.control.resources import deleted_vaults
from strongroom.web.api import wire_deleted
from strongroom.web.api.door import Asked, Here, does

router = APIRouter()
_DELETED = (
    "/subscriptions/{subscription_id}/providers/Microsoft.DataProtection"
    "/locations/{location}/deletedVaults"
)


@router.get(_DELETED, openapi_extra=does(deleted_vaults.READ))
def list_deleted_vaults(here: Here, call: Asked) -> dict[str, Any]:
    """The soft-deleted vaults of the subscription."""
    tenant = call.control.installation.tenant_id
    found = deleted_vaults.list_deleted_vaults(call.control, call.caller)
    return {"value": [wire_deleted.vault(here, tenant, *each) for each in found]}


@router.get(_DELETED + "/{name}", openapi_extra=does(deleted_vaults.READ))
def get_deleted_vault(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One of them."""
    found = deleted_vaults.get_deleted_vault(call.control, call.caller, name)
    return wire_deleted.vault(here, call.control.installation.tenant_id, *found)
