"""Sign in by an issuer of OpenID Connect that is trusted: the code flow, with PKCE.

`sign-in.json` beside serve's keys says with whom: {"issuer": its URL, "clientId", "clientSecret",
"scope"}. The issuer is trusted by `strongroom issuer add`, with the client id among its audiences;
whom its tokens prove, and which groups, is decided as for tokens of the API.
Source: OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE).
"""

import base64
import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
import structlog
from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from strongroom.control.basis.control import Control
from strongroom.control.identities import issuers, sessions
from strongroom.model.errors import ControlUnavailable, NotFound, Precondition, Unauthenticated
from strongroom.model.identities.access import Caller
from strongroom.model.identities.issuer import Issuer
from strongroom.web.portal import render
from strongroom.web.portal.door import PortalRoute, address_of, check_host, control_of
from strongroom.web.portal.sign_in import inside, with_cookie

FILE = "sign-in.json"
_MINUTES = 10
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_MOST_BYTES = 1 << 18
router = APIRouter(include_in_schema=False, route_class=PortalRoute)
log = structlog.get_logger()


class Client(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Who we are to the issuer; without a secret PKCE alone proves it."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scope: str = "openid profile"


class Way(msgspec.Struct, kw_only=True):
    """What is remembered in the browser until they come back."""

    state: str
    nonce: str
    verifier: str
    to: str


def client_of(request: Request) -> Client | None:
    """As the operator has written it; None where nobody has. Raises Precondition."""
    file: Path = request.app.state.sign_in_file
    try:
        return msgspec.json.decode(file.read_bytes(), type=Client)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Precondition(f"{FILE} cannot be read: {error}", hint="mend it") from error


def _cookie(request: Request) -> str:
    return "__Host-way" if request.url.scheme == "https" else "way"


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}"


@router.get("/sign-in/issuer")
async def begin(
    request: Request, to: Annotated[str, Query(max_length=2000)] = "/"
) -> RedirectResponse:
    """To the issuer, with what makes its answer ours alone."""
    check_host(request)
    client, issuer = await _known(request)
    places = await _ask(issuer, f"{issuer.url.rstrip('/')}/.well-known/openid-configuration")
    way = _way(control_of(request), inside(to))
    challenge = hashlib.sha256(way.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": f"{_base(request)}/sign-in/back",
        "scope": client.scope,
        "state": way.state,
        "nonce": way.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    where = _place(places, issuer, "authorization_endpoint")
    joined = "&" if "?" in where else "?"
    answer = RedirectResponse(f"{where}{joined}{urlencode(asked)}", 303, render.HEADERS)
    kept = base64.urlsafe_b64encode(msgspec.json.encode(way)).decode()
    secure = request.url.scheme == "https"
    # Lax: the way back is a navigation from the issuer's site.
    answer.set_cookie(
        _cookie(request), kept, _MINUTES * 60, secure=secure, httponly=True, samesite="lax"
    )
    return answer


@router.get("/sign-in/back")
async def back(
    request: Request,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """With a code: for it the issuer tells us, and nobody else, who they are."""
    check_host(request)
    client, issuer = await _known(request)
    way = _remembered(request)
    if not code or not hmac.compare_digest(state, way.state):
        raise _refused()
    places = await _ask(issuer, f"{issuer.url.rstrip('/')}/.well-known/openid-configuration")
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{_base(request)}/sign-in/back",
        "client_id": client.client_id,
        "code_verifier": way.verifier,
    }
    if client.client_secret:
        sent["client_secret"] = client.client_secret
    told = await _ask(issuer, _place(places, issuer, "token_endpoint"), sent)
    caller = await _proved(request, issuer, str(told.get("id_token", "")), (client, way))
    run = request.app.state.run
    token = await run(sessions.open_session, control_of(request), caller, issuer.id)
    answer = with_cookie(request, token, way.to)
    answer.delete_cookie(_cookie(request), secure=request.url.scheme == "https", httponly=True)
    return answer


async def _known(request: Request) -> tuple[Client, Issuer]:
    run = request.app.state.run
    client = await run(client_of, request)
    if client is None:
        raise NotFound("nobody else vouches for people here", hint=f"write {FILE}")
    issuer = await run(issuers.find_believed, control_of(request), client.issuer)
    if issuer is None:
        raise Precondition(
            f"the issuer {client.issuer[:200]} is not trusted", hint="strongroom issuer add"
        )
    return client, issuer


async def _proved(
    request: Request, issuer: Issuer, token: str, told: tuple[Client, Way]
) -> Caller:
    """By the token's signature, as at the API's door; and as the answer to our question."""
    client, way = told
    caller: Caller = await request.app.state.foreign.caller_of(token)
    claims = msgspec.json.decode(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    audience = claims.get("aud")
    ours = client.client_id in (audience if isinstance(audience, list) else [audience])
    nonce = str(claims.get("nonce", ""))
    if claims.get("iss") != issuer.url or not ours or not hmac.compare_digest(nonce, way.nonce):
        raise _refused()
    return msgspec.structs.replace(caller, address=address_of(request))


def _way(control: Control, to: str) -> Way:
    def chance() -> str:
        return base64.urlsafe_b64encode(control.chance.bytes(32)).decode().rstrip("=")

    return Way(state=chance(), nonce=chance(), verifier=chance(), to=to)


def _remembered(request: Request) -> Way:
    kept = request.cookies.get(_cookie(request), "")
    try:
        way = msgspec.json.decode(base64.urlsafe_b64decode(kept), type=Way)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _refused() from error
    way.to = inside(way.to)
    return way


def _place(places: dict[str, Any], issuer: Issuer, name: str) -> str:
    found = places.get(name)
    if places.get("issuer") != issuer.url or not isinstance(found, str):
        raise _away(issuer, "it calls itself otherwise, or does not say where to go")
    if urlsplit(found).scheme != "https":
        raise _away(issuer, "it answers without https")
    return found


async def _ask(issuer: Issuer, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    """A document of the issuer's, or what it answers to a form."""
    try:
        trusted = ssl.create_default_context(cadata=issuer.ca or None)
        async with httpx.AsyncClient(verify=trusted, timeout=_TIMEOUT, trust_env=False) as http:
            answer = await (http.get(url) if form is None else http.post(url, data=form))
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise _away(issuer, repr(error)) from error
    if form is not None and answer.status_code in {400, 401, 403}:
        raise _refused()
    if answer.status_code != 200 or len(answer.content) > _MOST_BYTES:
        raise _away(issuer, f"it answers {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise _away(issuer, "its answer is not JSON") from error


def _away(issuer: Issuer, why: str) -> ControlUnavailable:
    log.warning("issuer.unavailable", issuer=issuer.name, url=issuer.url, why=why)
    return ControlUnavailable(
        f"the issuer {issuer.name} does not answer as it should",
        hint="sign in with a password meanwhile; why is in the log of serve",
        code="IssuerUnavailable",
    )


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "the issuer has not said who you are", hint="sign in once more, from the beginning"
    )
