"""The signed statement of what a drill found of a recovery point: `p/<point>.<job>.drill`.

It states numbers; the names of tables and databases stay in the catalogue, in the detail of which
it states the digest. Its form is statement.py's.
"""

from typing import Any

import msgspec
from blake3 import blake3

from strongroom.datastore.statements import statement
from strongroom.datastore.statements.receipt import SigningKey, VerifyKey
from strongroom.model.oversight.audit import canonical

_FIRST_LINE = b"strongroom-drill-1\n"


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
    network: str = ""  # that its server could reach: None, Host; empty: there was no server
    version: int = 1


def name_of(point_id: str, job_id: str) -> str:
    """Where it lies."""
    return f"p/{point_id}.{job_id}.drill"


def detail_of(found: dict[str, Any]) -> bytes:
    """The digest of all that a drill found, as JSON in one form."""
    return blake3(canonical(found)).digest()


def sign_evidence(signing: SigningKey, evidence: Evidence) -> bytes:
    """The object."""
    return statement.sign(signing, _FIRST_LINE, evidence)


def check_evidence(verify: VerifyKey, stored: bytes) -> Evidence:
    """The evidence, if this key has signed it; Corrupt otherwise."""
    return statement.check(verify, _FIRST_LINE, stored, Evidence)
