"""What this vault signs beside receipts and records: JSON in the form that a receipt has.

{"body": {...}, "key": base64, "signature": base64}, keys sorted, no blanks. The signature is
Ed25519 (RFC 8032) over a first line that names the kind of statement, and the body.
"""

import base64
import json
from typing import TypeVar

import msgspec

from strongroom.datastore.statements.receipt import SigningKey, VerifyKey
from strongroom.model.errors import Corrupt
from strongroom.model.oversight.audit import canonical

_Body = TypeVar("_Body", bound=msgspec.Struct)


def sign(signing: SigningKey, first_line: bytes, body: msgspec.Struct) -> bytes:
    """The statement."""
    return sign_told(signing, first_line, canonical(msgspec.to_builtins(body)))


def sign_told(signing: SigningKey, first_line: bytes, told: bytes) -> bytes:
    """The statement of a body that is in its form already: one too long to be built twice."""
    return _envelope(told, signing.sign_statement(first_line + told), signing.public.raw)


def check(verify: VerifyKey, first_line: bytes, stored: bytes, kind: type[_Body]) -> _Body:
    """Its body, if this key has signed it; Corrupt otherwise."""
    what = f"the {kind.__name__.lower()}"
    try:
        told = json.loads(stored)
        body = canonical(told["body"])
        signature = base64.b64decode(told["signature"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt(f"{what} cannot be read") from error
    whole = stored == _envelope(body, signature, verify.raw)
    if not whole or not verify.has_signed(first_line + body, signature):
        raise Corrupt(f"{what} is not signed by this vault")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"this is no {kind.__name__.lower()}: {error}") from error


def _envelope(body: bytes, signature: bytes, key: bytes) -> bytes:
    """`body` as it is: what is in its form needs not be read again to be written."""
    told = {"key": base64.b64encode(key).decode()}
    told |= {"signature": base64.b64encode(signature).decode()}
    return b'{"body":' + body + b"," + canonical(told)[1:]
