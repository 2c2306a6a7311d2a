"""The audit chain: every record holds the digest of the one before it, and is signed.

Whoever writes is alone in the catalogue (catalog/database.py), so two records never follow the
same one; the number is the table's key, so a stale head overwrites nothing.
"""

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import signing_of
from strongroom.catalog.tables.tables import audit
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.audit import GENESIS, ChainCheck, Record, digest_of, kept
from strongroom.model.oversight.audit_filter import DONE, ENDINGS, AuditFilter
from strongroom.model.oversight.audit_gap import CONTINUED

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
    sequence, previous = head(connection)
    states = before or {}, after or {}
    _write(connection, (sequence + 1, previous), (at, actor), what, detail or {}, states)


def append_behind(
    connection: sa.Connection,
    at: Instant,
    actor: Caller | str,
    sequence: int,
    told: tuple[str, dict[str, Any]],
) -> None:
    """Go on with that number, which leaps over a gap; `told` is the record's target and detail."""
    what, (_, previous) = (CONTINUED, told[0]), head(connection)
    _write(connection, (sequence, previous), (at, actor), what, told[1], ({}, {}))


def _write(
    connection: sa.Connection,
    place: tuple[int, bytes],
    by: tuple[Instant, Caller | str],
    what: tuple[str, str],
    detail: dict[str, Any],
    states: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """At `place` = (number, digest of the one before)."""
    (sequence, previous), (at, actor), (action, target) = place, by, what
    row = {
        "sequence": sequence,
        "at": kept(at),
        "actor": actor.principal_id if isinstance(actor, Caller) else actor,
        "address": actor.address if isinstance(actor, Caller) else "",
        "action": action,
        "target": target,
        "detail": detail,
        "before": states[0],
        "after": states[1],
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


def digests_at(connection: sa.Connection, sequences: Collection[int]) -> dict[int, bytes]:
    """Number -> digest, of those that are there."""
    query = sa.select(audit.c.sequence, audit.c.digest)
    rows = connection.execute(query.where(audit.c.sequence.in_(list(sequences))))
    return {row.sequence: bytes(row.digest) for row in rows}


def continued(connection: sa.Connection) -> list[Record]:
    """The records by which the chain went on behind a gap, in their order."""
    query = sa.select(audit).where(audit.c.action == CONTINUED).order_by(audit.c.sequence)
    return [Record(**row) for row in connection.execute(query).mappings()]


def after(
    connection: sa.Connection, sequence: int, most: int, *wanted: sa.ColumnElement[bool]
) -> Iterator[Record]:
    """The records behind that one, in their order; `most` of them, of those that are wanted."""
    while most > 0:
        query = sa.select(audit).where(audit.c.sequence > sequence, *wanted)
        query = query.order_by(audit.c.sequence)
        page = connection.execute(query.limit(min(most, _PAGE))).mappings().all()
        if not page:
            return
        yield from (Record(**row) for row in page)
        sequence, most = page[-1]["sequence"], most - len(page)


def before(
    connection: sa.Connection, sequence: int, most: int, *wanted: sa.ColumnElement[bool]
) -> list[Record]:
    """The records before that one (0: before none), the newest first; `most` of the wanted."""
    query = sa.select(audit).where(*wanted).order_by(audit.c.sequence.desc()).limit(most)
    if sequence:
        query = query.where(audit.c.sequence < sequence)
    return [Record(**row) for row in connection.execute(query).mappings()]


def conditions(wanted: AuditFilter, actors: Collection[str]) -> list[sa.ColumnElement[bool]]:
    """Of a filter; `actors` are ids of whoever has a name that fits `who`."""
    found: list[sa.ColumnElement[bool]] = []
    if wanted.who:
        named = audit.c.actor.icontains(wanted.who, autoescape=True)
        found.append(sa.or_(named, audit.c.actor.in_(list(actors))))
    for column, piece in ((audit.c.action, wanted.what), (audit.c.target, wanted.scope)):
        if piece:
            found.append(column.icontains(piece, autoescape=True))
    if wanted.since is not None:
        found.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        found.append(audit.c.at < wanted.until)
    if wanted.outcome:
        found.append(_ended(wanted.outcome))
    return found


def _ended(outcome: str) -> sa.ColumnElement[bool]:
    likes = [like for each, some in ENDINGS.items() if outcome in {each, DONE} for like in some]
    said = sa.or_(*(audit.c.action.like(like) for like in likes))
    return sa.not_(said) if outcome == DONE else said


def first_break(connection: sa.Connection) -> int | None:
    """The sequence number of the first record that does not fit the chain, or None."""
    check = ChainCheck()
    for record in after(connection, 0, 1 << 62):
        check.see([record])
        if check.problems:
            return record.sequence
    return None
