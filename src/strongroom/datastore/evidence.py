"""The signed statement of what a drill found of a recovery point: `p/<point>.<job>.drill`.

JSON in a receipt's form: {"body": {...}, "key": base64, "signature": base64}. The signature is
Ed25519 (RFC 8032) over b"strongroom-drill-1\\n" and the body. It states numbers; the names of
tables and databases stay in the catalogue, in the detail of which it states the digest.
"""

import base64
import json
from typing import Any

import msgspec
from blake3 import blake3

from strongroom.datastore.receipt import SigningKey, VerifyKey
from strongroom.model.audit import canonical
from strongroom.model.errors import Corrupt

_CONTEXT = b"strongroom-drill-1\n"


class Evidence(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What was done, counted and found. Times are ISO 8601 UTC, service time.

    milliseconds: by step, and `ready` until the server took connections. detail_blake3: of
    `detail_of` what was found.
    """

    recovery_point_id: str
    instance_id: str
    job_id: str
    manifest_blake3: bytes
    began_at: str
    ended_at: str
    verdict: str  # Passed | Failed
    source_version: int
    server_version: str
    problems: int
    warnings: int
    databases: int
    tables: int
    rows: int
    relations_checked: int
    indexes_checked: int
    assertions: int
    assertions_true: int
    written_bytes: int
    fetched_bytes: int
    milliseconds: dict[str, int]
    detail_blake3: bytes
    version: int = 1


def name_of(point_id: str, job_id: str) -> str:
    """Where it lies."""
    return f"p/{point_id}.{job_id}.drill"


def detail_of(found: dict[str, Any]) -> bytes:
    """The digest of all that a drill found, as JSON in one form."""
    return blake3(canonical(found)).digest()


def sign_evidence(signing: SigningKey, evidence: Evidence) -> bytes:
    """The object."""
    body = canonical(msgspec.to_builtins(evidence))
    return _envelope(body, signing.sign_statement(_CONTEXT + body), signing.public.raw)


def check_evidence(verify: VerifyKey, stored: bytes) -> Evidence:
    """The evidence, if this key has signed it; Corrupt otherwise."""
    try:
        told = json.loads(stored)
        body = canonical(told["body"])
        signature = base64.b64decode(told["signature"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("the evidence of a drill cannot be read") from error
    whole = stored == _envelope(body, signature, verify.raw)
    if not whole or not verify.has_signed(_CONTEXT + body, signature):
        raise Corrupt("the evidence of a drill is not signed by this vault")
    try:
        return msgspec.json.decode(body, type=Evidence)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"not the evidence of a drill: {error}") from error


def _envelope(body: bytes, signature: bytes, key: bytes) -> bytes:
    told = {
        "body": json.loads(body),
        "key": base64.b64encode(key).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    return canonical(told)
