"""Service principals: ours, in place of Microsoft's directory."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from strongroom.control.identities import principals
from strongroom.model import arm
from strongroom.web.api.door import Asked, Body, Here, does
from strongroom.web.api.wire import Row, instant

router = APIRouter()
_PRINCIPALS = (
    "/subscriptions/{subscription_id}/providers/Microsoft.Authorization/servicePrincipals"
)
_ITSELF = "(the principal itself)"


def _told(row: Row, secret: str = "") -> dict[str, Any]:
    properties = {
        "displayName": row["display_name"],
        "appId": row.get("app_id"),
        "kind": row["kind"],
        "subject": row.get("subject"),
        "createdAt": instant(row["created_at"]),
    }
    if secret:
        properties["secretText"] = secret
    return {"id": row["id"], "name": row["display_name"], "properties": properties}


@router.put(_PRINCIPALS + "/{name}", openapi_extra=does(principals.WRITE))
def add_principal(name: str, here: Here, body: Body, call: Asked) -> JSONResponse:
    """Somebody else who signs in; the secret is in this answer alone."""
    del here
    asked = arm.pick_object(body, "properties")
    row, secret = principals.add_principal(call.control, call.caller, name, asked)
    return JSONResponse(_told(row, secret), 201, {"Cache-Control": "no-store"})


@router.get(_PRINCIPALS, openapi_extra=does(principals.READ))
def list_principals(here: Here, call: Asked) -> dict[str, Any]:
    """Who signs in."""
    del here
    found = principals.list_principals(call.control, call.caller)
    return {"value": [_told(row) for row in found]}


@router.delete(_PRINCIPALS + "/{name}", openapi_extra=does(principals.DELETE))
def remove_principal(name: str, here: Here, call: Asked) -> Response:
    """Somebody goes, and all their roles; by name or object id."""
    del here
    row = principals.remove_principal(call.control, call.caller, name)
    return Response(status_code=204) if row is None else JSONResponse(_told(row))


@router.post(_PRINCIPALS + "/{name}/renewSecret", openapi_extra=does(_ITSELF))
def renew_secret(name: str, here: Here, call: Asked) -> JSONResponse:
    """Another secret for oneself, by one's own object id, or `me`."""
    del here
    wanted = call.caller.principal_id if name.lower() == "me" else name
    row, secret = principals.renew_secret(call.control, call.caller, wanted)
    return JSONResponse(_told(row, secret), 200, {"Cache-Control": "no-store"})
