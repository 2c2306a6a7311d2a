"""Tokens of issuers that an administrator trusts: whom they prove, if they prove anybody.

Source: OpenID Connect Core 1.0, 3.1.3.7; RFC 8725 (JSON Web Token Best Current Practices).
"""

import base64
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from strongroom.control.basis.control import Control
from strongroom.control.identities import issuers
from strongroom.model.errors import Unauthenticated
from strongroom.model.identities.access import Caller
from strongroom.model.identities.issuer import Issuer
from strongroom.web.api.issuer_keys import IssuerKeys, Key

LEEWAY = 60  # seconds that clocks may be apart
_MOST_TOKEN = 1 << 15
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
Run = Callable[..., Awaitable[Any]]


class ForeignTokens:
    """Checks them. Only RS256 and ES256: the algorithm follows from the issuer's key, never

    from what the token says of itself.
    """

    def __init__(self, control: Control, run: Run) -> None:
        self._control = control
        self._run = run
        self._keys = IssuerKeys(control.clock)

    async def caller_of(self, token: str) -> Caller:
        """Who a token proves to be. Raises Unauthenticated, ControlUnavailable."""
        header, told = unproven(token)
        name, kid = told.get("iss"), header.get("kid")
        if not isinstance(name, str) or not isinstance(kid, str):
            raise refused()
        issuer: Issuer | None = await self._run(issuers.find_believed, self._control, name)
        if issuer is None:
            raise refused()
        key = await self._keys.find(issuer, kid)
        if key is None or str(header.get("typ", "jwt")).lower() not in _TYPES:
            raise refused()
        return _caller(issuer, _proven(token, key), self._control.clock.now().timestamp())


def unproven(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a token that nobody has checked yet; Unauthenticated if it is none."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _MOST_TOKEN:
        raise refused()
    try:
        header, claims = (
            msgspec.json.decode(
                base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True),
                type=dict[str, Any],
            )
            for part in parts[:2]
        )
    except (ValueError, RecursionError) as error:
        raise refused() from error
    return header, claims


def _proven(token: str, key: Key) -> dict[str, Any]:
    algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
    try:
        return jwt.decode(token, key, algorithms=[algorithm]).claims
    except (JoseError, ValueError, TypeError) as error:
        raise refused() from error


def _caller(issuer: Issuer, claims: dict[str, Any], seconds: float) -> Caller:
    ends = _instant(claims, "exp", -math.inf)
    begins = max(_instant(claims, "nbf", 0.0), _instant(claims, "iat", 0.0))
    in_time = begins - LEEWAY < seconds < ends + LEEWAY
    if claims.get("iss") != issuer.url or not in_time or not issuer.accepts(claims.get("aud")):
        raise refused()
    named = next(
        (c for c in ("preferred_username", "appid", "azp") if isinstance(claims.get(c), str)), ""
    )
    return Caller(
        principal_id=issuer.principal_of("user", issuer.subject_of(claims)),
        name=f"{issuer.name}: {claims[named][:120]}" if named else issuer.name,
        groups=issuer.groups_of(claims),
    )


def _instant(claims: dict[str, Any], name: str, absent: float) -> float:
    """Seconds of Unix time."""
    found = claims.get(name, absent)
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise refused()
    return float(found)


def refused() -> Unauthenticated:
    """Every token that is not believed is answered alike."""
    return Unauthenticated(
        "the access token is invalid or has expired",
        hint="sign in again",
        code="InvalidAuthenticationToken",
    )
