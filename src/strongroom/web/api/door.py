"""What every route asks at the door: who calls, which version, what the body says.

None of it waits for anything, and all of it is `async`: what is not would go to a thread and back,
each of them, which takes longer than the whole answer. Each depends on as little as it can, and
reads what it needs of the request itself: FastAPI works all of it out anew for each route.
"""

import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Header, HTTPException, Query, Request
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Invalid, NotFound, Unauthenticated
from strongroom.model.identities.access import Caller
from strongroom.web.api import addresses
from strongroom.web.api.canonical import is_arm
from strongroom.web.api.foreign_tokens import ForeignTokens
from strongroom.web.api.tokens import TokenAuthority

_MOST_DEPTH = 60
_MOST_HEAD = 1 << 16
_ESCAPED = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_READS = ("GET", "HEAD")
_REQUESTS = "resourceGuardOperationRequests"
ACTION = "x-strongroom-action"
ANYBODY = "(any signed-in caller)"
PUBLIC = "(anybody)"
FILTER = "$filter"
AUXILIARY = "x-ms-authorization-auxiliary"


def does(action: str) -> dict[str, Any]:
    """What a route declares: the action that its use case checks. Goes into the OpenAPI too."""
    return {ACTION: action}


async def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


Means = Annotated[Control, Depends(_control)]
# Any version will do, but one must be named. Letters that a URL and a header can hold.
ApiVersion = Annotated[
    str, Query(alias="api-version", min_length=1, max_length=40, pattern=r"^[-.A-Za-z0-9]+$")
]


async def _caller(request: Request) -> Caller:
    caller = await _proven(request, request.headers.get("authorization", ""))
    request.state.caller = caller.principal_id
    request.app.state.pace.take(caller.principal_id)
    address = request.client.host if request.client else ""
    auxiliary = request.headers.get(AUXILIARY, "")
    if not auxiliary:
        return msgspec.structs.replace(caller, address=address)
    # Azure allows three tokens here, for three tenants; there is one tenant.
    one = auxiliary.split(",")[0].split(";")[0].strip()
    second = await _proven(request, one)
    named = _named(await request.body())
    return msgspec.structs.replace(
        caller, address=address, second=second.principal_id, named=named
    )


async def _proven(request: Request, header: str) -> Caller:
    """Whom a bearer token of ours, or of an issuer that we trust, proves."""
    token, authority = _bearer(header), _authority_of(request)
    if authority.issued(token):
        return authority.caller_of(token, (await _control(request)).clock.now())
    foreign: ForeignTokens = request.app.state.foreign
    return await foreign.caller_of(token)


def _authority_of(request: Request) -> TokenAuthority:
    authority: TokenAuthority = request.app.state.authority
    return authority


def _bearer(header: str) -> str:
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthenticated(
            "the request carries no bearer token",
            hint="sign in: POST /{tenant}/oauth2/v2.0/token",
            code="AuthenticationFailed",
        )
    return token


def _named(raw: bytes) -> tuple[str, ...] | None:
    """The body's resourceGuardOperationRequests, in lower case; None when there is no body."""
    if not raw:
        return None
    body = _read(raw)
    inner = arm.pick_object(body, "properties")
    found = arm.pick(inner, _REQUESTS) or arm.pick(body, _REQUESTS) or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise arm.invalid(f"{_REQUESTS} is not a list of names", "send the guard's own names")
    return tuple(name.rstrip("/").lower() for name in found)


Who = Annotated[Caller, Depends(_caller)]


async def _body(request: Request, caller: Who) -> dict[str, Any]:
    del caller  # nobody makes us read a body before they have said who they are
    raw = await request.body()
    if not raw and request.method == "PUT":
        raise _unreadable("the body is empty")
    return _read(raw) if raw else {}


def _read(raw: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw.removeprefix(BOM_UTF8))  # as clients on Windows write
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _unreadable("the body is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise _unreadable("the body is not a JSON object")
    _check_values(found)
    return found


def _unreadable(message: str) -> Invalid:
    return Invalid(message, hint="send a JSON object", code="InvalidRequestContent")


def _check_values(found: dict[str, Any]) -> None:
    """Not too deep; nothing that a database or a JSON answer could not hold."""
    level: list[Any] = [found]
    for _ in range(_MOST_DEPTH):
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            raise _unreadable("a number in the body is not finite")
        if any(isinstance(item, str) and "\0" in item for item in level):
            raise _unreadable("a string in the body holds a NUL character")
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise _unreadable("the body is nested too deeply")


def _children(item: object) -> Iterable[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list) else ()


Body = Annotated[dict[str, Any], Depends(_body)]


async def _request_key(request: Request, caller: Caller) -> str:
    """The same request of the same caller, sent again by a retrying client, is one.

    Whoever names all that they ask for alike is believed as far as they ask for the same.
    """
    sent = request.headers.get("x-ms-client-request-id", "")
    if not sent or request.method in _READS:
        return ""
    key = f"{caller.principal_id} {sent[:64]} {request.method} {request.scope['path'].lower()}"
    whole = sha256(b"%b\0%b" % (sent.encode(), await request.body())).hexdigest()
    return f"{key[:560]} {whole[:32]}"


async def _here(subscription_id: str, request: Request, caller: Who) -> str:
    del caller
    control = await _control(request)
    if subscription_id.lower() != control.installation.subscription_id.lower():
        raise NotFound(
            f"The subscription '{subscription_id[:64]}' could not be found.",
            hint=f"this installation's subscription is {control.installation.subscription_id}",
            code="SubscriptionNotFound",
        )
    return control.installation.subscription_id


Here = Annotated[str, Depends(_here)]


async def _vault(group: str, vault: str, here: Here) -> VaultRef:
    del here
    return VaultRef(resource_group=group, name=vault)


Vault = Annotated[VaultRef, Depends(_vault)]


async def _base(request: Request) -> str:
    """Absolute addresses: as the client dialled us when that is ours, else as configured."""
    control = await _control(request)
    seen = f"{request.url.scheme}://{request.headers.get('host', '')}".lower()
    known = addresses.ours(control.installation)
    return seen if seen in known else control.installation.public_url


Base = Annotated[str, Depends(_base)]


@dataclass(frozen=True, slots=True)
class Call:
    """What every route of ARM's is told: our means, who asks, and how.

    `key` names the request, should it be sent again; `base` is our address as they know it, and
    `path` what they asked for there.
    """

    control: Control
    caller: Caller
    version: str
    base: str
    key: str
    path: str


async def _call(request: Request, caller: Who, version: ApiVersion) -> Call:
    if request.query_params.get(FILTER):
        _check_filtered(request)
    control, base = await _control(request), await _base(request)
    key, path = await _request_key(request, caller), str(request.scope["path"])
    return Call(control, caller, version, base, key, path)


def _check_filtered(request: Request) -> None:
    """Invalid where the route reads no filter: all that there is would be no answer."""
    read = request.scope["route"].dependant.query_params
    if FILTER not in {parameter.alias for parameter in read}:
        raise arm.invalid("$filter is not offered here", "leave it out")


Asked = Annotated[Call, Depends(_call)]


async def _conditions(
    if_match: Annotated[str, Header(max_length=1024)] = "",
    if_none_match: Annotated[str, Header(max_length=1024)] = "",
) -> Conditions:
    return Conditions(if_match=if_match, if_none_match=if_none_match)


AsSeen = Annotated[Conditions, Depends(_conditions)]


def member(body: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that the body must hold, whatever the case of its key."""
    found = arm.pick(body, name)
    if not isinstance(found, dict):
        raise Invalid(
            f"the body has no {name}",
            hint=f'send {{"{name}": {{...}}}}',
            code="InvalidRequestContent",
        )
    return found


class Gate(BaseRoute):
    """Before all routes: what no path and no head of ours may be, whoever asks. It takes none."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Never; raises Invalid or HTTPException."""
        if scope["type"] == "http":
            _check_head(scope)
        return Match.NONE, {}


def _check_head(scope: Scope) -> None:
    """No path of ours holds control characters: they would end in logs and in the catalogue.

    Nor a slash that a proxy, which may keep some of our paths to itself, has not seen as one. And
    nobody needs a head that is longer than two tokens and a long list of names.
    """
    told = (len(name) + len(value) for name, value in scope["headers"])
    if len(scope["query_string"]) + sum(told) > _MOST_HEAD:
        raise HTTPException(431)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in scope["path"]):
        raise _bad_path("the path holds control characters")
    if is_arm(scope["path"]) and _ESCAPED.search(scope.get("raw_path") or b""):
        raise _bad_path("the path holds an escaped slash, which no name of a resource has")


def _bad_path(message: str) -> Invalid:
    return Invalid(message, hint="take them out", code="InvalidRequestUri")
