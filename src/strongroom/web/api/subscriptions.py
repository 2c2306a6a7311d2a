"""The subscription, its resource groups, and what clients ask of a cloud before anything else."""

import re
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from strongroom.control.resources import subscriptions
from strongroom.web.api import wire
from strongroom.web.api.door import ANYBODY, PUBLIC, Asked, Base, Body, Here, Means, does
from strongroom.web.api.paging import Filter, Skip, Top, check_filter, listed

router = APIRouter()
_GROUP = "/subscriptions/{subscription_id}/resourceGroups/{group}"
_TAG = re.compile(r"\b(tagName|tagValue)\s+eq\s+'([^']{1,256})'", re.IGNORECASE)


@router.get("/metadata/endpoints", openapi_extra=does(PUBLIC))
def endpoints(control: Means, base: Base) -> dict[str, Any]:
    """Which cloud this is: for `az cloud register` and Terraform's `metadata_host`."""
    # Terraform takes another tenant than this for Azure Stack, and needs the name of a key vault.
    return {
        "name": "strongroom",
        "resourceManager": base,
        "resourceManagerEndpoint": base,
        "authentication": {
            "loginEndpoint": base,
            "audiences": [base],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "microsoftGraphResourceId": base,
        "graph": base,
        "portal": control.installation.portal_url,
        "suffixes": {"storage": "local", "keyVaultDns": "vault.local"},
    }


def _subscription(control: Means) -> dict[str, Any]:
    found = control.installation
    return {
        "id": f"/subscriptions/{found.subscription_id}",
        "subscriptionId": found.subscription_id,
        "tenantId": found.tenant_id,
        "displayName": "strongroom",
        "state": "Enabled",
    }


@router.get("/subscriptions", openapi_extra=does(ANYBODY))
def list_subscriptions(call: Asked) -> dict[str, Any]:
    """The one there is, to whoever holds a role in it."""
    sees = subscriptions.sees_subscription(call.control, call.caller)
    return {"value": [_subscription(call.control)] if sees else []}


@router.get(
    "/subscriptions/{subscription_id}", openapi_extra=does(subscriptions.READ_SUBSCRIPTION)
)
def get_subscription(here: Here, call: Asked) -> dict[str, Any]:
    """The one there is."""
    del here
    subscriptions.get_subscription(call.control, call.caller)
    return _subscription(call.control)


@router.get("/tenants", openapi_extra=does(ANYBODY))
def list_tenants(call: Asked) -> dict[str, Any]:
    """The one there is."""
    tenant = call.control.installation.tenant_id
    return {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]}


@router.put(_GROUP, openapi_extra=does(subscriptions.WRITE))
def put_group(group: str, here: Here, body: Body, call: Asked) -> JSONResponse:
    """Create a resource group."""
    row, is_new = subscriptions.put_group(call.control, call.caller, group, body)
    return JSONResponse(wire.group(here, row), 201 if is_new else 200)


@router.get(_GROUP, openapi_extra=does(subscriptions.READ))
def get_group(group: str, here: Here, call: Asked) -> dict[str, Any]:
    """One resource group."""
    return wire.group(here, subscriptions.get_group(call.control, call.caller, group))


@router.head(_GROUP, openapi_extra=does(subscriptions.READ))
def has_group(group: str, here: Here, call: Asked) -> Response:
    """Whether it is there."""
    del here
    subscriptions.get_group(call.control, call.caller, group)
    return Response(status_code=204)


@router.get(
    "/subscriptions/{subscription_id}/resourceGroups", openapi_extra=does(subscriptions.READ)
)
def list_groups(
    here: Here, call: Asked, wanted: Filter = "", skip: Skip = "", top: Top = 0
) -> Response:
    """All resource groups, by name; `$filter` may name a tag and its value."""
    check_filter(wanted, "tagName eq '...' and tagValue eq '...'", _TAG)
    asked = {name.lower(): value for name, value in _TAG.findall(wanted)}
    found = subscriptions.list_groups(call.control, call.caller)
    told = [wire.group(here, row) for row in found if _is_tagged(row["tags"], asked)]
    return listed(call, told, skip, top, wanted)


def _is_tagged(tags: dict[str, str], asked: dict[str, str]) -> bool:
    """Names of tags in any case, their values as they are."""
    values = {name.lower(): value for name, value in tags.items()}
    named, value = asked.get("tagname", "").lower(), asked.get("tagvalue")
    return not asked or (named in values and value in {None, values[named]})
