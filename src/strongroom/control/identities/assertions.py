"""Signing in with a certificate: a token of one's own, signed with its private key.

Source: RFC 7523, 2.2 and 3; Microsoft identity platform, "application authentication
certificate credentials".
"""

import base64
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from whenever import Instant

from strongroom.model import arm
from strongroom.model.errors import Unauthenticated

ALGORITHMS = {RSAKey: ["RS256", "PS256"], ECKey: ["ES256"]}
_MOST = 1 << 15  # characters; a chain of certificates may come along in its header
_LEEWAY = 60
_LONGEST = 3600  # seconds; MSAL's are good for ten minutes


def read_certificate(pem: str) -> str:
    """A certificate as it was sent, in PEM. Invalid for a key that is too weak, or is secret."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        _key(found)
    except ValueError as error:
        raise arm.invalid(
            "certificate is not a PEM certificate of RSA (2048 bits or more) or P-256",
            "send the certificate alone, without its private key",
        ) from error
    return found.public_bytes(serialization.Encoding.PEM).decode()


def check_assertion(
    row: sa.RowMapping | None, assertion: str, now: Instant, audiences: frozenset[str]
) -> str:
    """The object id of the principal who signed it for one of our token endpoints.

    Raises Unauthenticated.
    """
    kept = row["certificate"] if row is not None else None
    if row is None or kept is None:
        raise _refused("the client has no certificate here")
    certificate = x509.load_pem_x509_certificate(kept.encode())
    try:
        claims = _proven(assertion, _key(certificate))
        good = _is_good(claims, row["app_id"], now, audiences)
    except (JoseError, KeyError, ValueError, TypeError) as error:
        raise _refused("the assertion is not signed with the client's key") from error
    if not good:
        raise _refused("the assertion is for somebody else, or out of its time")
    if not certificate.not_valid_before_utc <= now.to_stdlib() <= certificate.not_valid_after_utc:
        raise _refused("the client's certificate is out of its time")
    return str(row["id"])


def _proven(assertion: str, key: RSAKey | ECKey) -> dict[str, Any]:
    """What the key has signed. JoseError, KeyError, TypeError or ValueError if it has not.

    Not by `jwt.decode`, which has no room for a chain of certificates in the header and takes no
    padding: azure-identity's asynchronous client pads each part, and signs the padding too.
    """
    parts = assertion.split(".")
    if len(parts) != 3 or len(assertion) > _MOST:
        raise ValueError("three parts, of which none is endless")
    header, claims = (_read(part) for part in parts[:2])
    if "crit" in header:  # what must be understood: nothing that we would
        raise ValueError("something critical")
    named = JWSRegistry(algorithms=ALGORITHMS[type(key)]).get_alg(str(header["alg"]))
    signed = assertion.rpartition(".")[0].encode("ascii")
    if not named.verify(signed, _decoded(parts[2]), key):
        raise ValueError("signed by another key")
    return claims


def _read(part: str) -> dict[str, Any]:
    return msgspec.json.decode(_decoded(part), type=dict[str, Any])


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)


def _is_good(
    claims: dict[str, Any], client_id: str, now: Instant, audiences: frozenset[str]
) -> bool:
    seconds, ends = now.timestamp(), int(claims["exp"])
    return (
        claims["iss"] == claims["sub"] == client_id
        and str(claims["aud"]).lower() in audiences
        and seconds - _LEEWAY < ends <= seconds + _LONGEST + _LEEWAY
        and int(claims.get("nbf", 0)) <= seconds + _LEEWAY
    )


def _key(certificate: x509.Certificate) -> RSAKey | ECKey:
    """ValueError for a kind or size that is not good enough."""
    public = certificate.public_key()
    text = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048:
        return RSAKey.import_key(text)
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return ECKey.import_key(text)
    raise ValueError("a weak key, or one of another kind")


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(
        f"AADSTS700027: client assertion refused: {why}.",
        hint="sign with the certificate that was given for this principal",
        code="invalid_client",
    )
