"""The audit chain: every record holds the digest of the one before it."""

from typing import Any

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.tables import audit

GENESIS = bytes(32)


def append(
    connection: sa.Connection,
    at: Instant,
    actor: str,
    what: tuple[str, str],
    detail: dict[str, Any] | None = None,
) -> None:
    """Record that `actor` did `what` = (action, target), in the transaction that does it."""
    action, target = what
    last = connection.execute(
        sa.select(audit.c.sequence, audit.c.digest).order_by(audit.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (last.sequence + 1, last.digest) if last else (1, GENESIS)
    row = {
        "sequence": sequence,
        "at": at,
        "actor": actor,
        "action": action,
        "target": target,
        "detail": detail or {},
    }
    connection.execute(
        audit.insert().values(**row, previous=previous, digest=digest_of(row, previous))
    )


def digest_of(row: dict[str, Any], previous: bytes) -> bytes:
    """BLAKE3 of the record in sorted JSON, after the digest before it.

    Its time counts as the row keeps it, in microseconds: a clock knows more, and a record that is
    read again must have the digest that it was written with.
    """
    kept = Instant.from_timestamp(row["at"].timestamp(unit="microsecond"), unit="microsecond")
    told = {**row, "at": kept.format_iso()}
    return blake3(previous + msgspec.json.encode(told, order="sorted")).digest()


def first_break(connection: sa.Connection) -> int | None:
    """The sequence number of the first record that does not fit the chain, or None."""
    previous, expected = GENESIS, 1
    for record in connection.execute(sa.select(audit).order_by(audit.c.sequence)).mappings():
        row = {name: record[name] for name in ("sequence", "at", "actor", "action", "target")}
        row["detail"] = record["detail"]
        whole = record["sequence"] == expected and record["previous"] == previous
        if not whole or record["digest"] != digest_of(row, previous):
            return int(record["sequence"])
        previous, expected = record["digest"], expected + 1
    return None
