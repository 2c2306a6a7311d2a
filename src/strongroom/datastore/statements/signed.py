"""Any of the signed objects, whoever hands it over: what it states, or why not to believe it.

Each is checked by its own room; here it is found out which one it says to be.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from strongroom.datastore.statements import certificate, evidence
from strongroom.datastore.statements.receipt import Receipt, VerifyKey
from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.oversight.audit import canonical

DRILL, RECEIPT, CERTIFICATE = "drill", "receipt", "certificate"
_PARTS = {"body", "key", "signature"}
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """kind: what it says to be; empty for nothing that is signed here. key: base64, of whoever it
    says has signed it. name: where it lies. problem: why it is not genuine; empty for what is.
    """

    kind: str = ""
    key: str = ""
    name: str = ""
    states: Mapping[str, Any]
    problem: str = ""


def _receipt_name(body: Receipt) -> str:
    return f"p/{body.recovery_point_id}.receipt"


def _drill_name(body: evidence.Evidence) -> str:
    return evidence.name_of(body.recovery_point_id, body.job_id)


# A field that no other kind has -> the kind, how it is checked, where it lies.
_KINDS: dict[str, tuple[str, Callable[[VerifyKey, bytes], Any], Callable[[Any], str]]] = {
    "verdict": (DRILL, evidence.check_evidence, _drill_name),
    "manifest_size": (RECEIPT, lambda verify, stored: verify.check(stored), _receipt_name),
    "shredded_at": (CERTIFICATE, certificate.check_certificate, lambda _: ""),
}


def read_verify_key(text: str) -> VerifyKey:
    """The public half of a receipt key from its base64. Raises Invalid."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise Invalid(
            f"this is no receipt key: its public half is {_KEY_BYTES} bytes in base64",
            hint="`strongroom evidence key` tells it, and so does every recovery key file",
        )
    return VerifyKey(raw)


def read_signed(verify: VerifyKey, told: object) -> Signed:
    """An object as JSON was read; `states` is believed only where there is no problem."""
    if not isinstance(told, dict) or set(told) != _PARTS or not isinstance(told["body"], dict):
        problem = "this is no signed object: those have a body, a key and a signature"
        return Signed(states={}, problem=problem)
    body, key = told["body"], str(told["key"])
    kind, check, name_of = next(
        (of for field, of in _KINDS.items() if field in body), ("", None, None)
    )
    if check is None or name_of is None:
        return Signed(key=key, states=body, problem="it states nothing that is known here")
    if key != base64.b64encode(verify.raw).decode():
        problem = "it names another key: it is of another installation, or forged"
        return Signed(kind=kind, key=key, states=body, problem=problem)
    try:
        stated = check(verify, canonical(told))
    except Corrupt as error:
        problem = f"{error.message}: it was changed after it was signed, or forged"
        return Signed(kind=kind, key=key, states=body, problem=problem)
    return Signed(kind=kind, key=key, name=name_of(stated), states=msgspec.to_builtins(stated))


def is_its_detail(states: Mapping[str, Any], found: dict[str, Any]) -> bool:
    """Whether what a drill has found, told beside its evidence, is what that was signed for."""
    stated: str = states["detail_blake3"]
    return stated == base64.b64encode(evidence.detail_of(found)).decode()
