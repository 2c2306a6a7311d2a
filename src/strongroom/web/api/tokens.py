"""Tokens of our own issuer: what azure-identity asks for, and what every route checks.

Source: OpenID Connect Discovery 1.0; OAuth 2.0 (RFC 6749, 4.4); Microsoft identity platform,
"client credentials flow".
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from whenever import Instant

from strongroom.control import identity
from strongroom.control.control import Control
from strongroom.model.access import Caller
from strongroom.model.errors import Unauthenticated
from strongroom.model.installation import Installation
from strongroom.web.api import addresses

LIFETIME_SECONDS = 3600
_LEEWAY = 60
_FREE_TRIES = 5
_LONGEST_WAIT = 60.0
_MOST_REMEMBERED = 4096


class SignInGuard:
    """Slows whoever guesses a secret. Times are monotonic seconds.

    After five failures in a row from one address for one client id each further try has to wait,
    twice as long each time, a minute at most.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, who: tuple[str, str], now: float) -> float:
        """Seconds until `who` = (address, client id) may try again."""
        with self._lock:
            _, until = self._failures.get(who, (0, 0.0))
            return max(0.0, until - now)

    def failed(self, who: tuple[str, str], now: float) -> None:
        """One more failure."""
        with self._lock:
            count = self._failures.pop(who, (0, 0.0))[0] + 1
            extra = min(count - _FREE_TRIES, 10)
            pause = min(2.0**extra, _LONGEST_WAIT) if extra >= 0 else 0.0
            self._failures[who] = (count, now + pause)
            if len(self._failures) > _MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, who: tuple[str, str]) -> None:
        """All is forgotten."""
        with self._lock:
            self._failures.pop(who, None)


class TokenAuthority:
    """Issues and checks access tokens, RS256."""

    def __init__(self, key_file: Path, installation: Installation) -> None:
        self._key = RSAKey.import_key(key_file.read_bytes())
        self._key.ensure_kid()
        self.tenant_id = installation.tenant_id
        self.public_url = installation.public_url
        self.issuer = f"{self.public_url}/{self.tenant_id}/v2.0"
        self._audiences = addresses.audiences(installation)
        self.guard = SignInGuard()

    @property
    def challenge(self) -> str:
        """What `WWW-Authenticate` says to whoever has no good token."""
        place = f"{self.public_url}/{self.tenant_id}"
        return f'Bearer authorization_uri="{place}", error="invalid_token"'

    def issue(self, principal_id: str, app_id: str, audience: str, now: Instant) -> str:
        """A token for a principal, for an hour."""
        seconds = now.timestamp()
        claims = {
            "iss": self.issuer,
            "aud": audience,
            "sub": principal_id,
            "oid": principal_id,
            "appid": app_id,
            "tid": self.tenant_id,
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + LIFETIME_SECONDS,
            "ver": "1.0",
        }
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key)

    def caller_of(self, token: str, now: Instant) -> Caller:
        """Who a token proves to be; Unauthenticated when it proves nothing."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
            seconds = now.timestamp()
            good = (
                claims["iss"] == self.issuer
                and str(claims["aud"]).rstrip("/") in self._audiences
                and claims["tid"] == self.tenant_id
                and seconds < int(claims["exp"]) + _LEEWAY
                and seconds > int(claims["nbf"]) - _LEEWAY
            )
            principal = str(claims["oid"])
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise _refused() from error
        if not good:
            raise _refused()
        return Caller(principal_id=principal, name=str(claims.get("appid", "")))

    def keys(self) -> dict[str, Any]:
        """The public keys, as a JWKS."""
        return {"keys": [{**self._key.as_dict(private=False), "use": "sig", "alg": "RS256"}]}

    def configuration(self, tenant: str) -> dict[str, Any]:
        """The discovery document."""
        base = f"{self.public_url}/{tenant}"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "the access token is invalid or has expired",
        hint="sign in again",
        code="InvalidAuthenticationToken",
    )


router = APIRouter(include_in_schema=False)


@router.get("/{tenant}/v2.0/.well-known/openid-configuration")
@router.get("/{tenant}/.well-known/openid-configuration")
def configuration(tenant: str, request: Request) -> dict[str, Any]:
    """Where to get a token."""
    found: dict[str, Any] = request.app.state.authority.configuration(tenant)
    return found


@router.get("/{tenant}/discovery/v2.0/keys")
def keys(tenant: str, request: Request) -> dict[str, Any]:
    """Public keys."""
    del tenant
    found: dict[str, Any] = request.app.state.authority.keys()
    return found


@router.get("/{tenant}/discovery/keys")
def old_keys(tenant: str, request: Request) -> dict[str, Any]:
    """Public keys, under the address of the first version."""
    return keys(tenant, request)


@router.post("/{tenant}/oauth2/v2.0/token")
@router.post("/{tenant}/oauth2/token")
async def token(tenant: str, request: Request) -> JSONResponse:
    """Client credentials for an access token."""
    del tenant
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    answer: JSONResponse = await request.app.state.run(_token, request, form)
    return answer


def _token(request: Request, form: dict[str, list[str]]) -> JSONResponse:
    control: Control = request.app.state.control
    authority: TokenAuthority = request.app.state.authority

    def field(name: str) -> str:
        return form.get(name, [""])[0]

    if field("grant_type") != "client_credentials":
        return _oauth_error("unsupported_grant_type", "AADSTS70003: use client_credentials.", 400)
    who = (request.client.host if request.client else "", field("client_id")[:64])
    pause = authority.guard.wait(who, control.clock.monotonic())
    if pause:
        return _slow_down(pause)
    try:
        principal = identity.check_secret(control, field("client_id"), field("client_secret"))
    except Unauthenticated as error:
        authority.guard.failed(who, control.clock.monotonic())
        return _oauth_error("invalid_client", error.message, 401)
    authority.guard.succeeded(who)
    scope = field("scope").split(" ")[0].removesuffix("/.default")
    audience = field("resource") or scope or authority.public_url
    now = control.clock.now()
    issued = authority.issue(principal, field("client_id"), audience, now)
    return JSONResponse(
        {
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "ext_expires_in": LIFETIME_SECONDS,
            "access_token": issued,
        },
        headers={"Cache-Control": "no-store"},
    )


def _slow_down(pause: float) -> JSONResponse:
    words = "AADSTS50196: too many failed sign-ins in a row; wait before the next one."
    answer = _oauth_error("temporarily_unavailable", words, 429)
    answer.headers["Retry-After"] = str(int(pause) + 1)
    return answer


def _oauth_error(code: str, words: str, status: int) -> JSONResponse:
    told = {"error": code, "error_description": words}
    return JSONResponse(told, status, headers={"Cache-Control": "no-store"})
