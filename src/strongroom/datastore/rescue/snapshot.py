"""A snapshot of the catalogue's settings, in storage: what a new catalogue is built from.

It lies in a container of its own, `catalogue-<installation>`, as
`s/<number of the last audit record, 20 digits>-<digest, hex>.snapshot`. The object is one zstd
frame of a signed statement (statement.py), sealed to the recovery key. The digest is of what it
tells: nothing is written twice.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import zstandard

from strongroom.datastore.keys.keys import RecoveryKey
from strongroom.datastore.packs.seal import PublicKey, open_sealed, seal
from strongroom.datastore.statements import statement
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import Corrupt
from strongroom.model.oversight.audit import canonical

_SIGNED_AS = b"strongroom-catalogue-1\n"
_SEALED_AS = b"strongroom-catalogue-1"
_NO_TABLES = b'"tables":{}'
_MOST_BYTES = 1 << 30  # of what is inflated
_NAME = re.compile(r"s/(\d{20})-([0-9a-f]{64})\.snapshot")
CONTAINER = "catalogue-"


class Snapshot(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`tables`: name -> rows, times as microseconds, bytes as base64; `files`: name -> base64."""

    installation: str
    sequence: int  # of the last audit record by then
    at: str  # ISO 8601
    tables: dict[str, list[dict[str, Any]]]
    files: dict[str, str]
    version: int = 1


def snapshot_name(sequence: int, digest: str) -> str:
    """In the order of numbers; `digest` in hex."""
    return f"s/{sequence:020}-{digest}.snapshot"


def read_snapshot_name(name: str) -> tuple[int, str] | None:
    """(number, digest) of one; None for a name of another form."""
    found = _NAME.fullmatch(name)
    return found and (int(found[1]), found[2])


def seal_snapshot(
    recovery: PublicKey, signing: SigningKey, head: Snapshot, tables: Mapping[str, Sequence[bytes]]
) -> bytes:
    """The object. `head` has no tables; their rows are given as JSON, as `canonical` writes it.

    The whole is put together from them and never is one tree of values: thousands of rows would
    be looked through in one breath, and everybody would wait.
    """
    rows = (canonical(name) + b":[" + b",".join(tables[name]) + b"]" for name in sorted(tables))
    before, found, after = canonical(msgspec.to_builtins(head)).partition(_NO_TABLES)
    told = before + found[:-1] + b",".join(rows) + b"}" + after
    signed = statement.sign_told(signing, _SIGNED_AS, told)
    return seal(recovery, _SEALED_AS, zstandard.compress(signed, 9))


def open_snapshot(recovery: RecoveryKey, sealed: bytes) -> Snapshot:
    """The reverse. Raises WrongKey for another recovery key's, Corrupt."""
    raw = open_sealed(recovery.pair, _SEALED_AS, sealed)
    try:
        signed = zstandard.ZstdDecompressor().decompress(raw, max_output_size=_MOST_BYTES)
    except zstandard.ZstdError as error:
        raise Corrupt("a snapshot of the catalogue cannot be inflated") from error
    found = statement.check(recovery.verify, _SIGNED_AS, signed, Snapshot)
    if found.version != 1:
        raise Corrupt(f"this snapshot is version {found.version}, we read version 1")
    return found
