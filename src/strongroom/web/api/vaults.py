"""Backup vaults and their policies."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

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
    properties_of,
)
from strongroom.web.api.long_running import addresses

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_VAULTS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DataProtection/backupVaults"
)
VAULT = _VAULTS + "/{vault}"


@router.put(VAULT)
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


@router.patch(VAULT)
def patch_vault(
    ref: Vault, here: Here, control: Means, caller: Who, body: Body, version: ApiVersion
) -> dict[str, Any]:
    """Change tags or properties."""
    del version
    vaults.get_vault(control, caller, ref)
    row, _, _ = vaults.put_vault(control, caller, ref, body, "")
    return wire.vault(here, control.installation.tenant_id, row)


@router.get(VAULT)
def get_vault(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One vault."""
    del version
    row = vaults.get_vault(control, caller, ref)
    return wire.vault(here, control.installation.tenant_id, row)


@router.get(_VAULTS)
def list_vaults(
    group: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The vaults of a resource group."""
    del version
    tenant = control.installation.tenant_id
    found = vaults.list_vaults(control, caller, group)
    return {"value": [wire.vault(here, tenant, row) for row in found]}


@router.get(_SUBSCRIPTION + "/providers/Microsoft.DataProtection/backupVaults")
def list_all_vaults(
    here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The vaults of the subscription."""
    del version
    tenant = control.installation.tenant_id
    found = vaults.list_vaults(control, caller, None)
    return {"value": [wire.vault(here, tenant, row) for row in found]}


@router.put(VAULT + "/backupPolicies/{name}")
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
    row = policies.put_policy(control, caller, ref, name, properties_of(body))
    return wire.policy(here, ref, row)


@router.get(VAULT + "/backupPolicies/{name}")
def get_policy(
    name: str, ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One policy."""
    del version
    return wire.policy(here, ref, policies.get_policy(control, caller, ref, name))


@router.get(VAULT + "/backupPolicies")
def list_policies(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The policies of a vault."""
    del version
    found = policies.list_policies(control, caller, ref)
    return {"value": [wire.policy(here, ref, row) for row in found]}
