"""Resource groups beyond their making: other tags, what is in them, their end."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from strongroom.control.basis.long_running import get_operation
from strongroom.control.resources import resource_groups
from strongroom.control.resources.subscriptions import WRITE
from strongroom.model.errors import from_dict
from strongroom.web.api import wire
from strongroom.web.api.door import Asked, Body, Call, Here, does
from strongroom.web.api.long_running import OWN, RETRY_SECONDS
from strongroom.web.api.paging import Skip, Top, check_filter, listed

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"
_FILTER = re.compile(r"(resourceType|resourceGroup|name) eq '([^']*)'", re.IGNORECASE)
Wanted = Annotated[str, Query(alias="$filter", max_length=1024)]


@router.patch(_GROUP, openapi_extra=does(WRITE))
def patch_group(group: str, here: Here, body: Body, call: Asked) -> JSONResponse:
    """Other tags."""
    row = resource_groups.patch_group(call.control, call.caller, group, body)
    return JSONResponse(wire.group(here, row))


@router.delete(_GROUP, openapi_extra=does(resource_groups.DELETE))
def delete_group(group: str, here: Here, call: Asked) -> Response:
    """With all that is in it, or not at all: backups keep it."""
    operation = resource_groups.delete_group(call.control, call.caller, group, call.key)
    return Response(status_code=202, headers=_address(call, here, operation))


def _address(call: Call, here: str, operation: str) -> dict[str, str]:
    place = f"{call.base}/subscriptions/{here}/operationResults/{operation}"
    return {"Location": f"{place}?api-version={call.version}", "Retry-After": RETRY_SECONDS}


@router.get(_SUBSCRIPTION + "/operationResults/{operation_id}", openapi_extra=does(OWN))
def group_result(operation_id: str, here: Here, call: Asked) -> Response:
    """Nothing more once the group is gone; 202 until then."""
    row = get_operation(call.control, call.caller, operation_id)
    if row["status"] == "Inprogress":
        return Response(status_code=202, headers=_address(call, here, row["id"]))
    if row["error"]:
        raise from_dict(row["error"])
    return Response(status_code=200)


@router.get(_GROUP + "/resources", openapi_extra=does(resource_groups.LIST))
def list_resources(
    group: str, here: Here, call: Asked, wanted: Wanted = "", skip: Skip = "", top: Top = 0
) -> Response:
    """What is in a group: vaults, guards, servers; `$filter` may name a resourceType or a name."""
    del here
    return _listed(call, group, wanted, (skip, top))


@router.get(_SUBSCRIPTION + "/resources", openapi_extra=does(resource_groups.LIST_ALL))
def list_all_resources(
    here: Here, call: Asked, wanted: Wanted = "", skip: Skip = "", top: Top = 0
) -> Response:
    """The same of the subscription, as far as the caller may see."""
    del here
    return _listed(call, None, wanted, (skip, top))


def _listed(call: Call, group: str | None, wanted: str, part: tuple[str, int]) -> Response:
    asked = {name.lower(): value.lower() for name, value in _FILTER.findall(wanted)}
    check_filter(wanted, "resourceType, resourceGroup or name eq '...', joined with and", _FILTER)
    found = resource_groups.list_resources(call.control, call.caller, group)
    return listed(call, [_told(*each) for each in found if _fits(each, asked)], *part, wanted)


def _fits(each: resource_groups.Resource, asked: dict[str, str]) -> bool:
    kind, _, row = each
    mine = {"resourcetype": kind, "resourcegroup": row["resource_group"], "name": row["name"]}
    return all(mine[name].lower() == value for name, value in asked.items())


def _told(kind: str, place: str, row: wire.Row) -> dict[str, Any]:
    """ARM's GenericResource."""
    names = {"id": place, "name": row["name"], "type": kind}
    return {**names, "location": row["location"], "tags": row["tags"]}
