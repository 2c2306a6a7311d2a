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

_CONTEXT = b"strongroom-receipt-1\n"


class ReceiptPack(msgspec.Struct, kw_only=True, frozen=True):
    """A pack the point leans on: what a keyless scrub compares."""

    name: str
    size: int
    blake3: bytes


class Receipt(msgspec.Struct, kw_only=True, frozen=True):
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


class VerifyKey:
    """The public half: 32 bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def check(self, stored: bytes) -> Receipt:
        """The receipt, if this key has signed it; Corrupt otherwise."""
        try:
            told = json.loads(stored)
            body = canonical(told["body"])
            if stored != canonical(told):
                raise Corrupt("the receipt is not in its canonical form")
            self._key.verify(base64.b64decode(told["signature"], validate=True), _CONTEXT + body)
            receipt = msgspec.json.decode(body, type=Receipt)
        except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature) as error:
            raise Corrupt("the receipt is not signed by this vault") from error
        if receipt.version != 1:
            raise Corrupt(f"this receipt is version {receipt.version}, we read version 1")
        return receipt


class SigningKey:
    """The vault's own: a seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = VerifyKey(self._key.public_key().public_bytes_raw())

    def sign(self, receipt: Receipt) -> bytes:
        """The object `p/<recovery point id>.receipt`."""
        body = canonical(msgspec.to_builtins(receipt))
        told = {
            "body": json.loads(body),
            "key": base64.b64encode(self.public.raw).decode(),
            "signature": base64.b64encode(self._key.sign(_CONTEXT + body)).decode(),
        }
        return canonical(told)


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
