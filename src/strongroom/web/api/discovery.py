"""What a client may ask of a provider before it does anything: operations, features, regions."""

from typing import Any

from fastapi import APIRouter, Request

from strongroom.control.resources import features
from strongroom.model import arm
from strongroom.web.api.door import ACTION, ANYBODY, Asked, Body, Here, does
from strongroom.web.api.wire import SERVER_TYPE

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_LOCATION = _SUBSCRIPTION + "/providers/Microsoft.DataProtection/locations/{location}"
_VERSION = "2026-06-01"
_TYPES = {
    "Microsoft.DataProtection": ("backupVaults", "resourceGuards", "locations", "operations"),
    "Microsoft.DBforPostgreSQL": ("flexibleServers", "locations", "operations"),
    "Microsoft.Authorization": ("roleAssignments", "roleDefinitions", "operations"),
    "Microsoft.Resources": ("subscriptions", "resourceGroups", "tenants"),
    "Microsoft.Storage": ("storageAccounts",),
}


@router.get("/providers/{namespace}/operations", openapi_extra=does(ANYBODY))
def list_operations(namespace: str, call: Asked, request: Request) -> dict[str, Any]:
    """Every action that a route of this provider checks: what a role may be made of."""
    del call
    told = {
        route[ACTION]: route["description"].split("\n")[0]
        for methods in request.app.openapi()["paths"].values()
        for route in methods.values()
        if ACTION in route
    }
    wanted = f"{namespace.lower()}/"
    return {
        "value": [
            _operation(action, words)
            for action, words in sorted(told.items())
            if action.lower().startswith(wanted)
        ],
        "nextLink": None,
    }


def _operation(action: str, words: str) -> dict[str, Any]:
    provider, _, rest = action.partition("/")
    kind, _, verb = rest.removesuffix("/action").rpartition("/")
    display = {"provider": provider, "resource": kind, "operation": verb, "description": words}
    return {"name": action, "display": display, "origin": "user", "isDataAction": False}


@router.post(_LOCATION + "/checkFeatureSupport", openapi_extra=does(features.CHECK))
def check_feature(location: str, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Whether a kind of data source is offered here, and what of it."""
    del here, location
    name = arm.pick_text(body, "featureName")
    offered = features.check_feature(call.control, call.caller, name)
    return {
        "objectType": "FeatureValidationResponse",
        "featureType": arm.pick_text(body, "featureType") or "DataSourceType",
        "features": [
            {
                "featureName": SERVER_TYPE if offered else name,
                "supportStatus": "GenerallyAvailable" if offered else "NotSupported",
                "exposureControlledFeatures": [],
            }
        ],
    }


@router.get(_SUBSCRIPTION + "/locations", openapi_extra=does(ANYBODY))
def list_locations(here: Here, call: Asked) -> dict[str, Any]:
    """Where this installation is, and where its second copy."""
    names = [call.control.installation.location, *call.control.regions]
    return {"value": [_location(here, name) for name in names]}


def _location(here: str, name: str) -> dict[str, Any]:
    told = {"name": name, "displayName": name, "regionalDisplayName": name}
    return {"id": f"/subscriptions/{here}/locations/{name}", "type": "Region", **told}


@router.get(_SUBSCRIPTION + "/providers", openapi_extra=does(ANYBODY))
def list_providers(here: Here, call: Asked) -> dict[str, Any]:
    """The providers that we speak for."""
    return {"value": [_provider(call, here, namespace) for namespace in _TYPES]}


@router.get(_SUBSCRIPTION + "/providers/{namespace}", openapi_extra=does(ANYBODY))
@router.post(_SUBSCRIPTION + "/providers/{namespace}/register", openapi_extra=does(ANYBODY))
def provider(namespace: str, here: Here, call: Asked) -> dict[str, Any]:
    """Every provider is registered, so that no client waits for it."""
    return _provider(call, here, namespace)


def _provider(call: Asked, here: str, namespace: str) -> dict[str, Any]:
    spelt = {name.lower(): name for name in _TYPES}.get(namespace.lower(), namespace)
    place = {"locations": [call.control.installation.location], "apiVersions": [_VERSION]}
    return {
        "id": f"/subscriptions/{here}/providers/{spelt}",
        "namespace": spelt,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {"resourceType": name, "capabilities": "None", **place}
            for name in _TYPES.get(spelt, ())
        ],
    }
