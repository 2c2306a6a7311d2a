"""The signed public statement that a recovery point was committed.

JSON, keys sorted, no blanks: {"body": {...}, "signature": base64, "key": base64}. The signature is
Ed25519 (RFC 8032) over b"strongroom-receipt-1\\n" and the body as it stands in the object.
"""

import base64
import json
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from strongroom.model.errors import Corrupt
from strongroom.model.oversight.audit import SIGNED_AS, canonical

_CONTEXT = b"strongroom-receipt-1\n"


class ReceiptPack(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A pack the point leans on: what a keyless scrub compares."""

    name: str
    size: int
    blake3: bytes


class Receipt(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is signed. Times are ISO 8601 UTC, service time."""

    recovery_point_id: str
    instance_id: str
    vault: str
    server: str
    taken_at: str
    committed_at: str
    tag: str
    expires_at: str
    manifest_size: int
    manifest_blake3: bytes
    packs: list[ReceiptPack]
    version: int = 1

    @property
    def stored_bytes(self) -> int:
        """Of all packs that the point needs, whoever wrote them."""
        return sum(pack.size for pack in self.packs)


class VerifyKey:
    """The public half: 32 bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def check(self, stored: bytes) -> Receipt:
        """The receipt, if this key has signed it; Corrupt otherwise."""
        try:
            told = json.loads(stored)
            body = told["body"]
            signature = base64.b64decode(told["signature"], validate=True)
            self._key.verify(signature, _CONTEXT + canonical(body))
        except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature) as error:
            raise Corrupt("the receipt is not signed by this vault") from error
        if stored != _envelope(body, signature, self.raw):
            raise Corrupt("the receipt is not in its canonical form")
        return _receipt(body)

    def has_signed(self, statement: bytes, signature: bytes) -> bool:
        """Whether this key has; each kind of statement begins with a line of its own."""
        try:
            self._key.verify(signature, statement)
        except InvalidSignature:
            return False
        return True

    def has_signed_record(self, digest: bytes, signature: bytes) -> bool:
        """Whether a record of the audit chain is ours."""
        return self.has_signed(SIGNED_AS + digest, signature)


class SigningKey:
    """The vault's own: a seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = VerifyKey(self._key.public_key().public_bytes_raw())

    def sign_statement(self, statement: bytes) -> bytes:
        """64 bytes; each kind of statement begins with a line of its own."""
        return self._key.sign(statement)

    def sign_record(self, digest: bytes) -> bytes:
        """A record of the audit chain."""
        return self.sign_statement(SIGNED_AS + digest)

    def sign(self, receipt: Receipt) -> bytes:
        """The object `p/<recovery point id>.receipt`."""
        body = canonical(msgspec.to_builtins(receipt))
        return _envelope(json.loads(body), self._key.sign(_CONTEXT + body), self.public.raw)


def _envelope(body: Any, signature: bytes, key: bytes) -> bytes:  # noqa: ANN401 - any JSON
    """The object, the one form that a body, its signature and its key have."""
    told = {
        "body": body,
        "key": base64.b64encode(key).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    return canonical(told)


def _receipt(body: Any) -> Receipt:  # noqa: ANN401 - signed, and still looked at
    version = body.get("version") if isinstance(body, dict) else None
    if version != 1:
        raise Corrupt(f"this receipt is version {version}, we read version 1")
    try:
        return msgspec.json.decode(canonical(body), type=Receipt)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"not a receipt: {error}") from error
