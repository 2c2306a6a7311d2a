"""The signed statement that an instance was shredded: its keys are gone, and nothing opens."""

import msgspec

from strongroom.datastore.statements import statement
from strongroom.datastore.statements.receipt import SigningKey, VerifyKey

_FIRST_LINE = b"strongroom-shred-1\n"


class ShreddedKey(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A pair that is destroyed."""

    key_id: str  # hex
    purpose: str
    number: int
    created_at: str


class ShreddedPoint(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A recovery point that lay there, and the keys (hex) that its objects are sealed to."""

    recovery_point_id: str
    sealed_to: list[str]
    opens: bool


class Certificate(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What was destroyed, and what was seen afterwards. Times are ISO 8601 UTC, service time.

    objects_deleted: what had lain beneath `k/`. objects_left and keys_left: what was found there,
    and in the catalogue, when it was looked for again.
    """

    instance_id: str
    instance: str
    vault: str
    server: str
    shredded_at: str
    keys: list[ShreddedKey]
    points: list[ShreddedPoint]
    objects_deleted: list[str]
    objects_left: list[str]
    keys_left: list[str]
    version: int = 1


def sign_certificate(signing: SigningKey, certificate: Certificate) -> bytes:
    """As it is kept, and handed out."""
    return statement.sign(signing, _FIRST_LINE, certificate)


def check_certificate(verify: VerifyKey, stored: bytes) -> Certificate:
    """The certificate, if this key has signed it; Corrupt otherwise."""
    return statement.check(verify, _FIRST_LINE, stored, Certificate)
