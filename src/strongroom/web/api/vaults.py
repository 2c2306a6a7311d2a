"""Backup vaults and their policies."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control import policies, vaults
from strongroom.web.api import wire
from strongroom.web.api.door import (
    ApiVersion,
    Base,
    Body,
    Here,
    Means,
    RequestKey,
    Vault,
    Who,
    does,
    member,
)
from strongroom.web.api.long_running import addresses

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_VAULTS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DataProtection/backupVaults"
)
VAULT = _VAULTS + "/{vault}"
_LOCATION = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DataProtection/locations/{location}"
)


@router.put(VAULT, openapi_extra=does(vaults.WRITE))
def put_vault(
    ref: Vault,
    here: Here,
    control: Means,
    caller: Who,
    body: Body,
    base: Base,
    version: ApiVersion,
    key: RequestKey,
) -> JSONResponse:
    """Create a vault, or change one."""
    row, operation, is_new = vaults.put_vault(control, caller, ref, body, key)
    answer = wire.vault(here, control.installation.tenant_id, row)
    headers = addresses(control, base, operation, version)
    return JSONResponse(answer, 201 if is_new else 200, headers)


@router.patch(VAULT, openapi_extra=does(vaults.WRITE))
def patch_vault(
    ref: Vault, here: Here, control: Means, caller: Who, body: Body, version: ApiVersion
) -> dict[str, Any]:
    """Change tags or properties."""
    del version
    row = vaults.patch_vault(control, caller, ref, body)
    return wire.vault(here, control.installation.tenant_id, row)


@router.get(VAULT, openapi_extra=does(vaults.READ))
def get_vault(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One vault."""
    del version
    row = vaults.get_vault(control, caller, ref)
    return wire.vault(here, control.installation.tenant_id, row)


@router.delete(VAULT, openapi_extra=does(vaults.DELETE))
def delete_vault(ref: Vault, control: Means, caller: Who, version: ApiVersion) -> Response:
    """An empty vault goes at once."""
    del version
    return Response(status_code=200 if vaults.delete_vault(control, caller, ref) else 204)


@router.post(_LOCATION + "/checkNameAvailability", openapi_extra=does(vaults.CHECK_NAME))
def check_name(
    group: str, here: Here, control: Means, caller: Who, body: Body, version: ApiVersion
) -> dict[str, Any]:
    """Could a new vault have this name?"""
    del here, version
    available, reason, message = vaults.check_vault_name(control, caller, group, body)
    return {"nameAvailable": available, "reason": reason, "message": message}


@router.get(_VAULTS, openapi_extra=does(vaults.READ))
def list_vaults(
    group: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The vaults of a resource group."""
    del version
    tenant = control.installation.tenant_id
    found = vaults.list_vaults(control, caller, group)
    return {"value": [wire.vault(here, tenant, row) for row in found]}


@router.get(
    _SUBSCRIPTION + "/providers/Microsoft.DataProtection/backupVaults",
    openapi_extra=does(vaults.READ),
)
def list_all_vaults(
    here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The vaults of the subscription."""
    del version
    tenant = control.installation.tenant_id
    found = vaults.list_vaults(control, caller, None)
    return {"value": [wire.vault(here, tenant, row) for row in found]}


@router.put(VAULT + "/backupPolicies/{name}", openapi_extra=does(policies.WRITE))
def put_policy(
    name: str,
    ref: Vault,
    here: Here,
    control: Means,
    caller: Who,
    body: Body,
    version: ApiVersion,
) -> dict[str, Any]:
    """Create or change a policy."""
    del version
    row = policies.put_policy(control, caller, ref, name, member(body, "properties"))
    return wire.policy(here, ref, row)


@router.get(VAULT + "/backupPolicies/{name}", openapi_extra=does(policies.READ))
def get_policy(
    name: str, ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One policy."""
    del version
    return wire.policy(here, ref, policies.get_policy(control, caller, ref, name))


@router.get(VAULT + "/backupPolicies", openapi_extra=does(policies.READ))
def list_policies(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The policies of a vault."""
    del version
    found = policies.list_policies(control, caller, ref)
    return {"value": [wire.policy(here, ref, row) for row in found]}


@router.delete(VAULT + "/backupPolicies/{name}", openapi_extra=does(policies.DELETE))
def delete_policy(
    name: str, ref: Vault, control: Means, caller: Who, version: ApiVersion
) -> Response:
    """A policy that protects nothing goes."""
    del version
    gone = policies.delete_policy(control, caller, ref, name)
    return Response(status_code=200 if gone else 204)
