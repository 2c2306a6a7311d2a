"""PostgreSQL servers: Microsoft.DBforPostgreSQL/flexibleServers, as far as backup needs them."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.protection import server_backups
from strongroom.control.protection.server_backups import ServerBackup
from strongroom.control.resources import deleted_servers, servers
from strongroom.control.restore import new_servers
from strongroom.model import arm
from strongroom.model.restore.new_server import NewServer, read_new_server
from strongroom.web.api import wire
from strongroom.web.api.door import Asked, Body, Call, Here, does
from strongroom.web.api.long_term import server_addresses
from strongroom.web.api.paging import Skip, listed

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_SERVERS = _SUBSCRIPTION + (
    "/resourceGroups/{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
)


@router.put(_SERVERS + "/{name}", openapi_extra=does(servers.WRITE))
def put_server(group: str, name: str, here: Here, body: Body, call: Asked) -> Response:
    """Register a server that an agent looks after; or make one of a moment of another."""
    wanted = read_new_server(arm.pick_object(body, "properties"), here)
    if wanted is not None:
        return _make(group, name, here, (body, wanted), call)
    row, is_new = servers.put_server(call.control, call.caller, group, name, body)
    answer = wire.server(here, row, servers.facts_of(row))
    found = server_backups.find_backup(call.control, call.caller, row["id"])
    return JSONResponse(_with_backup(answer, found), 201 if is_new else 200)


def _make(
    group: str, name: str, here: str, what: tuple[dict[str, Any], NewServer], call: Call
) -> Response:
    operation = new_servers.make_server(
        call.control, call.caller, (group, name), *what, request_key=call.key
    )
    return Response(status_code=202, headers=server_addresses(call, here, operation))


@router.get(_SERVERS + "/{name}", openapi_extra=does(servers.READ))
def get_server(group: str, name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One server."""
    row = servers.get_server(call.control, call.caller, group, name)
    found = server_backups.find_backup(call.control, call.caller, row["id"])
    return _with_backup(wire.server(here, row, servers.facts_of(row)), found)


def _with_backup(told: dict[str, Any], found: ServerBackup | None) -> dict[str, Any]:
    told["properties"]["backup"] = wire.server_backup(found)
    return told


@router.delete(_SERVERS + "/{name}", openapi_extra=does(deleted_servers.DELETE))
def delete_server(group: str, name: str, here: Here, call: Asked) -> Response:
    """Take a server that nothing protects out of the register; its data stays as it is."""
    del here
    deleted_servers.delete_server(call.control, call.caller, group, name)
    return Response(status_code=204)


@router.get(_SERVERS, openapi_extra=does(servers.READ))
def list_servers(group: str, here: Here, call: Asked, skip: Skip = "") -> Response:
    """The servers of a resource group, by name, a hundred a page."""
    return _list(call, here, group, skip)


@router.get(
    _SUBSCRIPTION + "/providers/Microsoft.DBforPostgreSQL/flexibleServers",
    openapi_extra=does(servers.READ),
)
def list_all_servers(here: Here, call: Asked, skip: Skip = "") -> Response:
    """The servers of the subscription, by name, a hundred a page."""
    return _list(call, here, None, skip)


def _list(call: Call, here: str, group: str | None, skip: str) -> Response:
    found = servers.list_servers(call.control, call.caller, group)
    backups = server_backups.find_backups(call.control, call.caller)
    told = [
        _with_backup(wire.server(here, row, servers.facts_of(row)), backups.get(row["id"]))
        for row in found
    ]
    return listed(call, told, skip)


@router.post(_SERVERS + "/{name}/ltrPreBackup", openapi_extra=does(servers.CHECK))
def check_prerequisites(group: str, name: str, here: Here, call: Asked) -> dict[str, Any]:
    """Is the server ready to be backed up? Everything that is missing, if not."""
    del here
    count = servers.check_prerequisites(call.control, call.caller, group, name)
    return {"properties": {"numberOfContainers": count}}
