"""The public keys of a foreign issuer: fetched when they are needed, kept while it is down.

Source: OpenID Connect Discovery 1.0, 4; RFC 7517.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, RSAKey

from strongroom.model.errors import ControlUnavailable
from strongroom.model.identities.issuer import Issuer
from strongroom.model.seams import Clock

log = structlog.get_logger()
AGAIN_SECONDS = 60.0  # an unknown key, or an issuer that is down, is asked for this often at most
FRESH_SECONDS = 3600.0  # from then on keys are looked at again; what is gone is believed no longer
LONGEST_SECONDS = 86400.0  # an issuer that is down for longer vouches for nobody
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_MOST_BYTES = 1 << 18
_MOST_KEYS = 64
_WEAKEST_RSA = 2048
Key = RSAKey | ECKey


@dataclass
class _Kept:
    keys: dict[str, Key] = field(default_factory=dict)
    good_at: float | None = None  # monotonic: when they were fetched
    tried_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class IssuerKeys:
    """One cache for all issuers, of one event loop. Who waits for an issuer holds no thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def find(self, issuer: Issuer, kid: str) -> Key | None:
        """The issuer's key of that name; None when it has none.

        Raises ControlUnavailable when the issuer cannot be asked and nothing is kept of it.
        """
        kept = self._kept.setdefault(issuer.id, _Kept())
        if self._wants(kept, kid):
            async with kept.lock:
                if self._wants(kept, kid):
                    await self._fetch(issuer, kept)
        age = None if kept.good_at is None else self._clock.monotonic() - kept.good_at
        if age is None or age > LONGEST_SECONDS:
            raise ControlUnavailable(
                f"the issuer {issuer.name} cannot be asked for its keys",
                hint=f"see whether {issuer.url} answers; it is asked again every minute",
                code="IssuerUnavailable",
            )
        return kept.keys.get(kid)

    def _wants(self, kept: _Kept, kid: str) -> bool:
        now = self._clock.monotonic()
        if kept.tried_at is not None and now - kept.tried_at < AGAIN_SECONDS:
            return False
        old = kept.good_at is None or now - kept.good_at > FRESH_SECONDS
        return old or kid not in kept.keys

    async def _fetch(self, issuer: Issuer, kept: _Kept) -> None:
        kept.tried_at = self._clock.monotonic()
        try:
            context = ssl.create_default_context(cadata=issuer.ca or None)
            async with httpx.AsyncClient(
                verify=context, timeout=_TIMEOUT, follow_redirects=False, trust_env=False
            ) as client:
                kept.keys = _read(await _jwks(client, issuer))
        except (httpx.HTTPError, ssl.SSLError, ValueError) as error:
            log.warning("issuer.unavailable", issuer=issuer.name, url=issuer.url, why=repr(error))
            return
        kept.good_at = self._clock.monotonic()
        log.info("issuer.keys", issuer=issuer.name, keys=sorted(kept.keys))


async def _jwks(client: httpx.AsyncClient, issuer: Issuer) -> dict[str, Any]:
    """ValueError for an answer that is not what an issuer says."""
    place = f"{issuer.url.rstrip('/')}/.well-known/openid-configuration"
    told = await _get(client, place)
    if told.get("issuer") != issuer.url:
        raise ValueError("it calls itself otherwise")
    where = told.get("jwks_uri")
    if not isinstance(where, str) or urlsplit(where).scheme != "https":
        raise ValueError("its keys are not at an https address")
    return await _get(client, where)


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    found = bytearray()
    async with asyncio.timeout(20), client.stream("GET", url) as answer:
        if answer.status_code != 200:
            raise ValueError(f"it answers {answer.status_code}")
        async for piece in answer.aiter_bytes():
            found += piece
            if len(found) > _MOST_BYTES:
                raise ValueError("its answer is too long")
    return msgspec.json.decode(bytes(found), type=dict[str, Any])


def _read(told: dict[str, Any]) -> dict[str, Key]:
    """Those with which it may sign, by their names; others, it has its reasons for, are left."""
    named = told.get("keys")
    if not isinstance(named, list) or len(named) > _MOST_KEYS:
        raise ValueError("it names no keys, or too many")
    found: dict[str, Key] = {}
    for each in named:
        try:
            (key,) = KeySet.import_key_set({"keys": [each]}).keys
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
        if isinstance(each.get("kid"), str) and isinstance(key, RSAKey | ECKey) and _signs(key):
            found[each["kid"]] = key
    return found


def _signs(key: Key) -> bool:
    told = key.as_dict(private=False)
    if told.get("use", "sig") != "sig":
        return False
    if isinstance(key, RSAKey):
        big_enough = key.public_key.key_size >= _WEAKEST_RSA
        return big_enough and told.get("alg", "RS256") == "RS256"
    return told.get("crv") == "P-256" and told.get("alg", "ES256") == "ES256"
