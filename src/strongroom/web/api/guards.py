"""Resource guards, the proxies of vaults, and unlockDelete."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.resources import guards
from strongroom.control.resources.given_names import names_of_vault
from strongroom.model import arm
from strongroom.model.errors import NotFound
from strongroom.model.resources import guard
from strongroom.web.api import wire_guards
from strongroom.web.api.door import Asked, AsSeen, Body, Here, Vault, does, member
from strongroom.web.api.paging import Skip, listed
from strongroom.web.api.vaults import VAULT
from strongroom.web.api.wire import instant

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_GUARDS = "/providers/Microsoft.DataProtection/resourceGuards"
_GUARD = _SUBSCRIPTION + "/resourceGroups/{group}" + _GUARDS + "/{name}"
_PROXIES = VAULT + "/backupResourceGuardProxies"


@router.put(_GUARD, openapi_extra=does(guards.WRITE))
def put_guard(
    group: str, name: str, here: Here, body: Body, call: Asked, seen: AsSeen
) -> JSONResponse:
    """Create a resource guard, or change one."""
    row, is_new = guards.put_guard(call.control, call.caller, group, name, body, seen)
    return JSONResponse(wire_guards.resource_guard(here, row), 201 if is_new else 200)


@router.patch(_GUARD, openapi_extra=does(guards.WRITE))
def patch_guard(
    group: str, name: str, here: Here, body: Body, call: Asked, seen: AsSeen
) -> dict[str, Any]:
    """Change its tags."""
    row = guards.patch_guard(call.control, call.caller, group, name, body, seen)
    return wire_guards.resource_guard(here, row)


@router.get(_GUARD, openapi_extra=does(guards.READ))
def get_guard(group: str, name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One resource guard, with what it protects."""
    row = guards.get_guard(call.control, call.caller, group, name)
    return wire_guards.resource_guard(here, row)


@router.delete(_GUARD, openapi_extra=does(guards.DELETE))
def delete_guard(group: str, name: str, here: Here, call: Asked) -> Response:
    """A guard that no vault stands under goes."""
    del here
    gone = guards.delete_guard(call.control, call.caller, group, name)
    return Response(status_code=200 if gone else 204)


@router.get(_SUBSCRIPTION + "/resourceGroups/{group}" + _GUARDS, openapi_extra=does(guards.READ))
def list_guards(group: str, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The resource guards of a resource group, by name, a hundred a page."""
    found = guards.list_guards(call.control, call.caller, group)
    return listed(call, [wire_guards.resource_guard(here, row) for row in found], skip)


@router.get(_SUBSCRIPTION + _GUARDS, openapi_extra=does(guards.READ))
def list_all_guards(here: Here, call: Asked, skip: Skip = "") -> Response:
    """The resource guards of the subscription, by name, a hundred a page."""
    found = guards.list_guards(call.control, call.caller, None)
    return listed(call, [wire_guards.resource_guard(here, row) for row in found], skip)


@router.get(_GUARD + "/{kind}", openapi_extra=does(guards.READ))
def list_requests(group: str, name: str, kind: str, here: Here, call: Asked) -> dict[str, Any]:
    """The request objects of a kind: the default one."""
    return {"value": [get_request(group, name, kind, guard.DEFAULT, here, call)]}


@router.get(_GUARD + "/{kind}/{request}", openapi_extra=does(guards.READ))
def get_request(
    group: str, name: str, kind: str, request: str, here: Here, call: Asked
) -> dict[str, Any]:
    """What a protected call names in its resourceGuardOperationRequests."""
    row = guards.get_guard(call.control, call.caller, group, name)
    known = {each.lower(): each for each in guard.KINDS}
    if kind.lower() not in known or request.lower() != guard.DEFAULT:
        raise NotFound(
            f"a resource guard has no {kind[:80]}/{request[:80]}",
            hint=f"its kinds are {', '.join(sorted(guard.KINDS))}, each with {guard.DEFAULT}",
            code="ResourceNotFound",
        )
    place = arm.guard_id_of(here, row["resource_group"], row["name"])
    return wire_guards.request_object(place, known[kind.lower()])


@router.put(_PROXIES + "/{name}", openapi_extra=does(guards.WRITE_PROXY))
def put_proxy(name: str, ref: Vault, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Put a vault under a resource guard."""
    asked = member(body, "properties")
    row = guards.put_proxy(call.control, call.caller, ref, name, asked)
    return wire_guards.proxy(here, names_of_vault(call.control, ref), row)


@router.get(_PROXIES + "/{name}", openapi_extra=does(guards.READ_PROXY))
def get_proxy(name: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """The guard that a vault stands under, and how each operation is asked for."""
    row = guards.get_proxy(call.control, call.caller, ref, name)
    return wire_guards.proxy(here, names_of_vault(call.control, ref), row)


@router.get(_PROXIES, openapi_extra=does(guards.READ_PROXY))
def list_proxies(ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """The same as a list, of one or none."""
    row = guards.find_proxy(call.control, call.caller, ref)
    if row is None:
        return {"value": []}
    return {"value": [wire_guards.proxy(here, names_of_vault(call.control, ref), row)]}


@router.delete(_PROXIES + "/{name}", openapi_extra=does(guards.DELETE_PROXY))
def delete_proxy(name: str, ref: Vault, call: Asked) -> Response:
    """Take the guard from a vault, as somebody else has approved."""
    gone = guards.delete_proxy(call.control, call.caller, ref, name)
    return Response(status_code=200 if gone else 204)


@router.post(_PROXIES + "/{name}/unlockDelete", openapi_extra=does(guards.UNLOCK))
def unlock_delete(name: str, ref: Vault, body: Body, call: Asked) -> dict[str, Any]:
    """Have a deletion approved before its DELETE, which has no body to ask in."""
    until = guards.unlock_delete(call.control, call.caller, ref, name, body)
    return {"unlockDeleteExpiryTime": instant(until)}
