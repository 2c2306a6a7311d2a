"""What every route asks at the door: who calls, which version, what the body says."""

import json
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request

from strongroom.control.control import Control
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Invalid, NotFound, Unauthenticated
from strongroom.web.api.tokens import TokenAuthority

MOST_BODY = 1 << 20
_MOST_DEPTH = 60


def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


def _authority(request: Request) -> TokenAuthority:
    authority: TokenAuthority = request.app.state.authority
    return authority


Means = Annotated[Control, Depends(_control)]
Authority = Annotated[TokenAuthority, Depends(_authority)]
ApiVersion = Annotated[str, Query(alias="api-version", min_length=1, max_length=40)]


def _caller(
    authority: Authority, control: Means, authorization: Annotated[str, Header()] = ""
) -> Caller:
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthenticated(
            "the request carries no bearer token",
            hint="sign in: POST /{tenant}/oauth2/v2.0/token",
            code="AuthenticationFailed",
        )
    return authority.caller_of(token, control.clock.now())


Who = Annotated[Caller, Depends(_caller)]


async def _body(request: Request) -> dict[str, Any]:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY:
            raise Invalid(
                f"the body is larger than {MOST_BODY} bytes", code="RequestContentTooLarge"
            )
    if not raw:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            "the body is not JSON",
            hint="send a JSON object in UTF-8",
            code="InvalidRequestContent",
        ) from error
    if not isinstance(found, dict) or _depth(found) > _MOST_DEPTH:
        raise Invalid(
            "the body is no JSON object, or nested too deeply",
            hint="send a JSON object",
            code="InvalidRequestContent",
        )
    return found


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= _MOST_DEPTH:
        depth += 1
        level = [
            child
            for item in level
            for child in (
                item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            )
        ]
    return depth


Body = Annotated[dict[str, Any], Depends(_body)]


def _request_key(request: Request) -> str:
    """The same POST sent again by a retrying client is one and the same."""
    sent = request.headers.get("x-ms-client-request-id", "")
    return f"{sent[:64]} {request.method} {request.url.path.lower()}"[:512] if sent else ""


RequestKey = Annotated[str, Depends(_request_key)]


def _here(subscription_id: str, control: Means) -> str:
    if subscription_id.lower() != control.installation.subscription_id.lower():
        raise NotFound(
            f"The subscription '{subscription_id[:64]}' could not be found.",
            hint=f"this installation's subscription is {control.installation.subscription_id}",
            code="SubscriptionNotFound",
        )
    return control.installation.subscription_id


Here = Annotated[str, Depends(_here)]


def _vault(group: str, vault: str, here: Here) -> VaultRef:
    del here
    return VaultRef(resource_group=group, name=vault)


Vault = Annotated[VaultRef, Depends(_vault)]


def _base(request: Request, control: Means) -> str:
    """Absolute addresses: as the client sees us when it says so, else as configured."""
    known = {control.installation.public_url, control.installation.portal_url}
    seen = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return seen if seen in known else control.installation.public_url


Base = Annotated[str, Depends(_base)]


def properties_of(body: dict[str, Any]) -> dict[str, Any]:
    """`properties` of a resource, whatever the case of the key."""
    for key, value in body.items():
        if key.lower() == "properties" and isinstance(value, dict):
            return value
    raise Invalid(
        "the body has no properties",
        hint='send {"properties": {...}}',
        code="InvalidRequestContent",
    )
