"""Tokens of our own issuer: what azure-identity asks for, and what every route checks.

Source: OpenID Connect Discovery 1.0; OAuth 2.0 (RFC 6749, 4.4; RFC 7523); Microsoft identity
platform, "client credentials flow"; App Service, "REST endpoint reference" of managed identities.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from whenever import Instant

from strongroom.control.basis.control import Control
from strongroom.control.identities import identity
from strongroom.control.identities.assertions import check_assertion
from strongroom.model.errors import SlowDown, Unauthenticated
from strongroom.model.identities.access import Caller
from strongroom.model.installation import Installation
from strongroom.web.api import addresses
from strongroom.web.api.foreign_tokens import refused, unproven

LIFETIME_SECONDS = 3600
_LEEWAY = 60
_MOST_KNOWN = 4096  # tokens that were found good and are not looked into again
_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenAuthority:
    """Issues and checks access tokens, RS256."""

    def __init__(self, key_pem: bytes, installation: Installation) -> None:
        self._key = RSAKey.import_key(key_pem)
        self._key.ensure_kid()
        self._installation = installation
        self.tenant_id = installation.tenant_id
        self.public_url = installation.public_url
        self.issuer = f"{self.public_url}/{self.tenant_id}/v2.0"
        self._audiences = addresses.audiences(installation)
        # By digest: (whom it proves, from when, until when). What they may do is not in a token.
        self._known: OrderedDict[bytes, tuple[Caller, int, int]] = OrderedDict()

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

    def issued(self, token: str) -> bool:
        """Whether it says that we made it. Raises Unauthenticated when it is no token."""
        if _digest(token) in self._known:
            return True
        return bool(unproven(token)[1].get("iss") == self.issuer)

    def token_endpoints(self, tenant: str) -> frozenset[str]:
        """What an assertion may be meant for that is sent to one of them, in lower case.

        A tenant has several names, and all of them are our own.
        """
        hosts = addresses.ours(self._installation)
        return frozenset(
            f"{host}/{name}/oauth2/{form}".lower()
            for host in hosts
            for name in (tenant, self.tenant_id)
            for form in ("v2.0/token", "token")
        )

    def caller_of(self, token: str, now: Instant) -> Caller:
        """Who a token proves to be; Unauthenticated when it proves nothing.

        A good signature stays good: it is checked once, the time each time.
        """
        seconds, digest = now.timestamp(), _digest(token)
        known = self._known.get(digest)
        caller, begins, ends = self._read(token) if known is None else known
        if not begins - _LEEWAY < seconds < ends + _LEEWAY:
            self._known.pop(digest, None)
            raise refused()
        if known is None:
            self._known[digest] = caller, begins, ends
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return caller

    def _read(self, token: str) -> tuple[Caller, int, int]:
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
            good = (
                claims["iss"] == self.issuer
                and str(claims["aud"]).rstrip("/") in self._audiences
                and claims["tid"] == self.tenant_id
            )
            caller = Caller(principal_id=str(claims["oid"]), name=str(claims.get("appid", "")))
            found = caller, int(claims["nbf"]), int(claims["exp"])
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise refused() from error
        if not good:
            raise refused()
        return found

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
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        }


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


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
    """Client credentials, a secret or an assertion, for an access token."""
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
    try:
        principal = _signed_in(request, field)
    except Unauthenticated as error:
        return _oauth_error("invalid_client", error.message, 401)
    except SlowDown as error:
        return _slow_down(error)
    scope = field("scope").split(" ")[0].removesuffix("/.default")
    audience = field("resource") or scope or authority.public_url
    issued = authority.issue(principal, field("client_id"), audience, control.clock.now())
    told = {"expires_in": LIFETIME_SECONDS, "ext_expires_in": LIFETIME_SECONDS}
    return _issued(issued, told)


def _signed_in(request: Request, field: Callable[[str], str]) -> str:
    """By a secret, or by what was signed with the key of a certificate."""
    control: Control = request.app.state.control
    authority: TokenAuthority = request.app.state.authority
    client, assertion = field("client_id"), field("client_assertion")
    if not assertion:
        return identity.sign_in_client(control, _address(request), client, field("client_secret"))
    if field("client_assertion_type") != _BEARER:
        raise Unauthenticated(f"AADSTS50013: client_assertion_type must be {_BEARER}.")
    now = control.clock.now()
    endpoints = authority.token_endpoints(request.path_params["tenant"])
    return identity.sign_in_with(
        control,
        _address(request),
        client,
        lambda row: check_assertion(row, assertion, now, endpoints),
    )


def _issued(token: str, more: dict[str, Any]) -> JSONResponse:
    told = {"token_type": "Bearer", **more, "access_token": token}
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


@router.get("/msi/token")
async def managed(request: Request) -> JSONResponse:
    """What IDENTITY_ENDPOINT leads to; IDENTITY_HEADER is CLIENT_ID:SECRET of a principal."""
    answer: JSONResponse = await request.app.state.run(_managed, request)
    return answer


def _managed(request: Request) -> JSONResponse:
    control: Control = request.app.state.control
    authority: TokenAuthority = request.app.state.authority
    client, _, secret = request.headers.get("x-identity-header", "").partition(":")
    try:
        principal = identity.sign_in_client(control, _address(request), client, secret)
    except Unauthenticated as error:
        # In the words of App Service, too: MSAL looks for no others.
        words = {"statusCode": 401, "message": error.message}
        return _oauth_error("unauthorized", error.message, 401, words)
    except SlowDown as error:
        return _slow_down(error)
    resource = request.query_params.get("resource", "") or authority.public_url
    now = control.clock.now()
    issued = authority.issue(principal, client, resource, now)
    ends = str(now.timestamp() + LIFETIME_SECONDS)
    return _issued(issued, {"expires_on": ends, "resource": resource, "client_id": client})


def _slow_down(error: SlowDown) -> JSONResponse:
    answer = _oauth_error(error.code, error.message, 429)
    answer.headers["Retry-After"] = str(int(error.facts["retry_after_seconds"]) + 1)
    return answer


def _oauth_error(
    code: str, words: str, status: int, more: dict[str, Any] | None = None
) -> JSONResponse:
    told = {"error": code, "error_description": words, **(more or {})}
    return JSONResponse(told, status, headers={"Cache-Control": "no-store"})
