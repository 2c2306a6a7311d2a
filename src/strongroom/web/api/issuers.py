"""Issuers of tokens that are believed beside our own."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from strongroom.control.identities import issuers
from strongroom.model.identities.issuer import Issuer
from strongroom.web.api.door import Asked, Body, Here, does, member

router = APIRouter()
_HOME = "/subscriptions/{subscription_id}/providers/Microsoft.Authorization/trustedIssuers"


@router.put(_HOME + "/{name}", openapi_extra=does(issuers.WRITE))
def put_issuer(name: str, here: Here, body: Body, call: Asked) -> JSONResponse:
    """Believe one from now on."""
    found, is_new = issuers.add_issuer(call.control, call.caller, name, member(body, "properties"))
    return JSONResponse(_told(here, found), 201 if is_new else 200)


@router.get(_HOME, openapi_extra=does(issuers.READ))
def list_issuers(here: Here, call: Asked) -> dict[str, Any]:
    """Who is believed."""
    found = issuers.list_issuers(call.control, call.caller)
    return {"value": [_told(here, each) for each in found]}


@router.get(_HOME + "/{name}", openapi_extra=does(issuers.READ))
def get_issuer(name: str, here: Here, call: Asked) -> dict[str, Any]:
    """One of them."""
    return _told(here, issuers.get_issuer(call.control, call.caller, name))


@router.delete(_HOME + "/{name}", openapi_extra=does(issuers.DELETE))
def delete_issuer(name: str, here: Here, call: Asked) -> Response:
    """Believe it no longer."""
    del here
    gone = issuers.remove_issuer(call.control, call.caller, name)
    return Response(status_code=200 if gone else 204)


def _told(subscription: str, issuer: Issuer) -> dict[str, Any]:
    home = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/trustedIssuers"
    return {
        "id": f"{home}/{issuer.name}",
        "name": issuer.name,
        "type": "Microsoft.Authorization/trustedIssuers",
        "properties": {
            "issuer": issuer.url,
            "audiences": list(issuer.audiences),
            "subjectClaim": issuer.subject_claim,
            "groupsClaim": issuer.groups_claim,
            "certificateAuthority": issuer.ca,
        },
    }
