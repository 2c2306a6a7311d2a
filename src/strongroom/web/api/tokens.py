"""Tokens of our own issuer: what azure-identity asks for, and what every route checks.

Source: OpenID Connect Discovery 1.0; OAuth 2.0 (RFC 6749, 4.4); Microsoft identity platform,
"client credentials flow".
"""

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

LIFETIME_SECONDS = 3600
_LEEWAY = 60


class TokenAuthority:
    """Issues and checks access tokens, RS256."""

    def __init__(self, key_file: Path, tenant_id: str, public_url: str) -> None:
        self._key = RSAKey.import_key(key_file.read_bytes())
        self._key.ensure_kid()
        self.tenant_id = tenant_id
        self.public_url = public_url
        self.issuer = f"{public_url}/{tenant_id}/v2.0"

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


@router.post("/{tenant}/oauth2/v2.0/token")
@router.post("/{tenant}/oauth2/token")
async def token(tenant: str, request: Request) -> JSONResponse:
    """Client credentials for an access token."""
    del tenant
    form = parse_qs((await request.body())[:65536].decode("utf-8", "replace"))
    answer: JSONResponse = await request.app.state.run(_token, request, form)
    return answer


def _token(request: Request, form: dict[str, list[str]]) -> JSONResponse:
    control: Control = request.app.state.control
    authority: TokenAuthority = request.app.state.authority

    def field(name: str) -> str:
        return form.get(name, [""])[0]

    if field("grant_type") != "client_credentials":
        return _oauth_error("unsupported_grant_type", "AADSTS70003: use client_credentials.", 400)
    try:
        principal = identity.check_secret(control, field("client_id"), field("client_secret"))
    except Unauthenticated as error:
        return _oauth_error("invalid_client", error.message, 401)
    audience = field("resource") or field("scope").split(" ")[0].removesuffix("/.default")
    now = control.clock.now()
    issued = authority.issue(principal, field("client_id"), audience or "strongroom", now)
    return JSONResponse(
        {
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "ext_expires_in": LIFETIME_SECONDS,
            "access_token": issued,
        },
        headers={"Cache-Control": "no-store"},
    )


def _oauth_error(code: str, words: str, status: int) -> JSONResponse:
    return JSONResponse({"error": code, "error_description": words}, status)
