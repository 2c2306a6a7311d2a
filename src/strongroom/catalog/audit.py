"""The audit chain: every record holds the digest of the one before it, and is signed.

Whoever writes is alone in the catalogue (catalog/database.py), so two records never follow the
same one; the number is the table's key, so a stale head overwrites nothing.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.database import signing_of
from strongroom.catalog.tables import audit
from strongroom.model.access import Caller
from strongroom.model.audit import GENESIS, ChainCheck, Record, digest_of, kept

_PAGE = 1000


def append(  # noqa: PLR0913 - what a record says
    connection: sa.Connection,
    at: Instant,
    actor: Caller | str,
    what: tuple[str, str],
    detail: dict[str, Any] | None = None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Record that `actor` did `what` = (action, target), in the transaction that does it."""
    action, target = what
    sequence, previous = head(connection)
    row = {
        "sequence": sequence + 1,
        "at": kept(at),
        "actor": actor.principal_id if isinstance(actor, Caller) else actor,
        "address": actor.address if isinstance(actor, Caller) else "",
        "action": action,
        "target": target,
        "detail": detail or {},
        "before": before or {},
        "after": after or {},
    }
    digest = digest_of(row, previous)
    signature = signing_of(connection)(digest)
    connection.execute(
        audit.insert().values(**row, previous=previous, digest=digest, signature=signature)
    )


def head(connection: sa.Connection) -> tuple[int, bytes]:
    """Number and digest of the last record; 0 and zeros when there is none."""
    query = sa.select(audit.c.sequence, audit.c.digest)
    last = connection.execute(query.order_by(audit.c.sequence.desc()).limit(1)).first()
    return (last.sequence, last.digest) if last else (0, GENESIS)


def digest_at(connection: sa.Connection, sequence: int) -> bytes | None:
    """Of one record; None when it is not there. GENESIS for what is before the first."""
    if sequence == 0:
        return GENESIS
    query = sa.select(audit.c.digest).where(audit.c.sequence == sequence)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def after(connection: sa.Connection, sequence: int, most: int) -> Iterator[Record]:
    """The records behind that one, in their order; `most` of them."""
    while most > 0:
        query = sa.select(audit).where(audit.c.sequence > sequence).order_by(audit.c.sequence)
        page = connection.execute(query.limit(min(most, _PAGE))).mappings().all()
        if not page:
            return
        yield from (Record(**row) for row in page)
        sequence, most = page[-1]["sequence"], most - len(page)


def first_break(connection: sa.Connection) -> int | None:
    """The sequence number of the first record that does not fit the chain, or None."""
    check = ChainCheck()
    for record in after(connection, 0, 1 << 62):
        check.see([record])
        if check.problems:
            return record.sequence
    return None
