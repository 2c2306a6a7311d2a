"""The audit: read it, and see whether it is whole."""

from collections.abc import Iterable, Iterator

import msgspec
import sqlalchemy as sa

from strongroom.catalog.identities import principals
from strongroom.catalog.oversight import audit as catalog
from strongroom.catalog.oversight import subjects
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control, Witness
from strongroom.control.oversight import audit_gaps
from strongroom.model.errors import Corrupt, NotFound, Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.audit import (
    Anchored,
    ChainCheck,
    Problem,
    Record,
    read_anchor_name,
)
from strongroom.model.oversight.audit_filter import AuditFilter
from strongroom.model.oversight.audit_gap import Gap, is_known

READ = "Microsoft.DataProtection/auditRecords/read"
PAGE = 500  # records of an export
STRETCH = 20_000  # records that one call verifies: some seconds
EVERY = AuditFilter()
_MOST_ANCHORS = 20  # that do not fit: so many are read


class Verdict(msgspec.Struct, kw_only=True, rename="camel"):
    """Of one stretch of the chain. `next`: ask again behind this record; None at the end.

    `anchored_to` is the last record for which an anchor vouches, `head` the last one there is,
    `gaps` are those that signed records of the chain name: all of them, in each stretch.
    """

    checked: int
    last: int
    digest: str  # hex, of the last one
    head: int
    anchors: int
    anchored_to: int
    problems: list[Problem]
    gaps: list[Gap]
    anchored_at: str | None  # ISO 8601: when that anchor was written
    next: int | None = None


def list_records(
    control: Control, caller: Caller, after: int, wanted: AuditFilter = EVERY
) -> list[Record]:
    """The records behind that one, a page of those wanted; of the whole installation."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
        return list(catalog.after(connection, after, PAGE, *_conditions(connection, wanted)))


def newest_records(
    control: Control, caller: Caller, before: int, wanted: AuditFilter, most: int = PAGE
) -> list[Record]:
    """The newest first: of those wanted before that one (0: of all), so many at most."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
        return catalog.before(connection, before, most, *_conditions(connection, wanted))


def subjects_of(control: Control, found: Iterable[Record]) -> dict[str, str]:
    """Target -> the instance that it is or belongs to; who asks has read those records."""
    with control.database.reading() as connection:
        return subjects.instance_names(connection, {record.target for record in found})


def _conditions(connection: sa.Connection, wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    who = wanted.who.lower()
    known = principals.list_all(connection) if who else []
    named = [row["id"] for row in known if who in row["display_name"].lower()]
    return catalog.conditions(wanted, named)


def last_record(control: Control, caller: Caller) -> int:
    """The number of the newest record; 0 when there is none."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
        return catalog.head(connection)[0]


def see_head(control: Control, caller: Caller) -> tuple[int, str] | None:
    """Number and digest (hex) of the newest record; None for who may not read the audit."""
    with control.database.reading() as connection:
        if not may(connection, caller, READ, _scope(control)):
            return None
        sequence, digest = catalog.head(connection)
    return sequence, digest.hex()


def verify_audit(control: Control, caller: Caller, after: int) -> Verdict:
    """One stretch of the chain behind that record: links, digests, signatures, anchors."""
    with control.database.reading() as connection:
        require(control, connection, caller, READ, _scope(control))
    return _verdict(control, after, STRETCH)


def verdicts(control: Control, stretch: int = STRETCH) -> Iterator[Verdict]:
    """The whole chain, stretch by stretch."""
    after: int | None = 0
    while after is not None:
        found = _verdict(control, after, stretch)
        yield found
        after = found.next


def _verdict(control: Control, after: int, stretch: int) -> Verdict:
    witness = control.witness
    if witness is None:
        raise Precondition("this process cannot tell whose signature the audit bears")
    # Anchors first: whatever is anchored by then must be in the catalogue that is read after.
    names = witness.anchors()
    known = [(name, read_anchor_name(name)) for name in names]
    anchors = [anchor for _, anchor in known if anchor is not None]
    check = ChainCheck(signed=witness.has_signed)
    for anchor in anchors:
        check.anchors.setdefault(anchor.sequence, []).append(anchor)
    with control.database.reading() as connection:
        digest = catalog.digest_at(connection, after)
        if digest is None:
            raise NotFound(f"there is no audit record {after}", hint="begin with the first one: 0")
        check.last = (after, digest)
        check.gaps = audit_gaps.known(connection, witness)
        check.see(catalog.after(connection, after, stretch))
        head, _ = catalog.head(connection)
    last, ended = check.last[0], check.last[0] >= head
    problems = check.problems + _rewritten(witness, check.rewritten)
    if ended:
        problems += [_false(name, 0) for name, anchor in known if anchor is None]
        problems += _lost(witness, [a for a in anchors if a.sequence > head], head)
    vouching = [a for a in anchors if a.sequence <= head and not is_known(check.gaps, a.sequence)]
    furthest = max(vouching, key=lambda a: a.sequence, default=None)
    return Verdict(
        checked=check.checked,
        last=last,
        digest=check.last[1].hex(),
        head=head,
        anchors=len(anchors),
        anchored_to=furthest.sequence if furthest else 0,
        anchored_at=_at(witness, furthest) if ended and furthest else None,
        problems=problems,
        gaps=list(check.gaps),
        next=None if ended else last,
    )


def _at(witness: Witness, anchor: Anchored) -> str | None:
    try:
        return witness.read_anchor(anchor.name).at
    except Corrupt:  # it is among the problems, if it is about a record of this stretch
        return None


def _rewritten(witness: Witness, found: list[Anchored]) -> list[Problem]:
    """Records that are others than were anchored."""
    problems = []
    for anchor in found[:_MOST_ANCHORS]:
        try:
            at = witness.read_anchor(anchor.name).at
        except Corrupt:
            problems.append(_false(anchor.name, anchor.sequence))
            continue
        message = f"record {anchor.sequence} is not the one that was anchored at {at}"
        problems.append(Problem(sequence=anchor.sequence, kind="rewritten", message=message))
    return problems


def _lost(witness: Witness, found: list[Anchored], head: int) -> list[Problem]:
    """Records that were anchored and are not there: the furthest anchor of ours says how many."""
    problems = []
    for anchor in sorted(found, key=lambda a: -a.sequence)[:_MOST_ANCHORS]:
        try:
            at = witness.read_anchor(anchor.name).at
        except Corrupt:
            problems.append(_false(anchor.name, anchor.sequence))
            continue
        message = (
            f"records {head + 1} to {anchor.sequence} were there at {at} and are missing: the "
            "catalogue was cut, set back or made anew; after a restore in good faith go on with "
            "strongroom rebuild"
        )
        return [*problems, Problem(sequence=head + 1, kind="lost", message=message)]
    return problems


def _false(name: str, sequence: int) -> Problem:
    message = f"{name[:120]} lies among the anchors and is none of ours"
    return Problem(sequence=sequence, kind="false anchor", message=message)


def _scope(control: Control) -> str:
    return f"/subscriptions/{control.installation.subscription_id}"
