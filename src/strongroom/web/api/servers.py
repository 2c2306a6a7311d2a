"""PostgreSQL servers: Microsoft.DBforPostgreSQL/flexibleServers, as far as backup needs them."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from strongroom.control import servers
from strongroom.web.api import wire
from strongroom.web.api.door import ApiVersion, Body, Here, Means, Who, does

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_SERVERS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
)


@router.put(_SERVERS + "/{name}", openapi_extra=does(servers.WRITE))
def put_server(
    group: str,
    name: str,
    here: Here,
    control: Means,
    caller: Who,
    body: Body,
    version: ApiVersion,
) -> JSONResponse:
    """Register a server that an agent looks after."""
    del version
    row, is_new = servers.put_server(control, caller, group, name, body)
    answer = wire.server(here, row, servers.facts_of(row))
    return JSONResponse(answer, 201 if is_new else 200)


@router.get(_SERVERS + "/{name}", openapi_extra=does(servers.READ))
def get_server(
    group: str, name: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One server."""
    del version
    row = servers.get_server(control, caller, group, name)
    return wire.server(here, row, servers.facts_of(row))


@router.get(_SERVERS, openapi_extra=does(servers.READ))
def list_servers(
    group: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The servers of a resource group."""
    del version
    found = servers.list_servers(control, caller, group)
    return {"value": [wire.server(here, row, servers.facts_of(row)) for row in found]}


@router.get(
    _SUBSCRIPTION + "/providers/Microsoft.DBforPostgreSQL/flexibleServers",
    openapi_extra=does(servers.READ),
)
def list_all_servers(
    here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The servers of the subscription."""
    del version
    found = servers.list_servers(control, caller, None)
    return {"value": [wire.server(here, row, servers.facts_of(row)) for row in found]}


@router.post(_SERVERS + "/{name}/ltrPreBackup", openapi_extra=does(servers.CHECK))
def check_prerequisites(
    group: str, name: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """Is the server ready to be backed up? Everything that is missing, if not."""
    del here, version
    count = servers.check_prerequisites(control, caller, group, name)
    return {"properties": {"numberOfContainers": count}}
