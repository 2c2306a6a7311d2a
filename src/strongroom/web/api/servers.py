"""PostgreSQL servers: Microsoft.DBforPostgreSQL/flexibleServers, as far as backup needs them."""

from typing import Any

from fastapi import APIRouter

from strongroom.control import servers
from strongroom.web.api import wire
from strongroom.web.api.door import ApiVersion, Body, Here, Means, Who

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_SERVERS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
)


@router.put(_SERVERS + "/{name}")
def put_server(
    group: str,
    name: str,
    here: Here,
    control: Means,
    caller: Who,
    body: Body,
    version: ApiVersion,
) -> dict[str, Any]:
    """Register a server that an agent looks after."""
    del version
    row = servers.put_server(control, caller, group, name, body)
    return wire.server(here, row, servers.facts_of(row))


@router.get(_SERVERS + "/{name}")
def get_server(
    group: str, name: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One server."""
    del version
    row = servers.get_server(control, caller, group, name)
    return wire.server(here, row, servers.facts_of(row))


@router.get(_SERVERS)
def list_servers(
    group: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The servers of a resource group."""
    del version
    found = servers.list_servers(control, caller, group)
    return {"value": [wire.server(here, row, servers.facts_of(row)) for row in found]}


@router.post(_SERVERS + "/{name}/ltrPreBackup")
def check_prerequisites(
    group: str, name: str, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """Is the server ready to be backed up? Everything that is missing, if not."""
    del here, version
    count = servers.check_prerequisites(control, caller, group, name)
    return {"properties": {"numberOfContainers": count}}
