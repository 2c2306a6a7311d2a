"""Gaps in the audit: whether the catalogue is behind its anchors, and how it goes on then."""

from collections.abc import Iterable

import sqlalchemy as sa

from strongroom.catalog.oversight import audit as catalog
from strongroom.control.basis.control import Control, Witness
from strongroom.model.errors import Corrupt, Precondition
from strongroom.model.oversight.audit import FIELDS, Anchored, Record, digest_of, read_anchor_name
from strongroom.model.oversight.audit_gap import LEAP, Gap, is_known, read_gap, told_of

_MANY = 500  # anchors of one look into the catalogue


def known(connection: sa.Connection, witness: Witness) -> list[Gap]:
    """Those that records of the chain name, each signed by us as it stands."""
    found = [_gap(r) for r in catalog.continued(connection) if _is_ours(r, witness)]
    return [gap for gap in found if gap is not None]


def _is_ours(record: Record, witness: Witness) -> bool:
    row = {name: getattr(record, name) for name in FIELDS}
    whole = digest_of(row, record.previous) == record.digest
    return whole and witness.has_signed(record.digest, record.signature)


def _gap(record: Record) -> Gap | None:
    return read_gap(record.sequence, record.at.format_iso(), record.actor, record.detail)


def find_ahead(control: Control) -> Anchored | None:
    """The furthest anchor of ours, when it is ahead of the catalogue; None when none is.

    Then the catalogue was set back or lost. Raises StoreError.
    """
    witness = _witness(control)
    anchors = _anchors(witness)
    with control.database.reading() as connection:
        head, _ = catalog.head(connection)
    return _furthest(witness, (a for a in anchors if a.sequence > head))


def go_on(control: Control, actor: str) -> Gap | None:
    """Record that `actor` has restored the catalogue; None when its anchors fit.

    The next number is one that was never given. Raises StoreError.
    """
    witness, now = _witness(control), control.clock.now()
    anchors = _anchors(witness)
    with control.database.writing() as connection:
        after, _ = catalog.head(connection)
        gaps = known(connection, witness)
        unfit = [a for a in _unfit(connection, anchors) if not is_known(gaps, a.sequence)]
        last = _furthest(witness, unfit)
        if last is None:
            return None
        there = [a.sequence for a in unfit if a.sequence <= after and _is_true(witness, a)]
        gap = Gap(
            sequence=max(after, last.sequence) + LEAP,
            at=now.format_iso(),
            by=actor,
            after=after,
            first=min([after + 1, *there]),
            last=last.sequence,
            digest=last.digest.hex(),
        )
        told = f"/subscriptions/{control.installation.subscription_id}", told_of(gap)
        catalog.append_behind(connection, now, actor, gap.sequence, told)
        return gap


def _unfit(connection: sa.Connection, anchors: list[Anchored]) -> list[Anchored]:
    """From the furthest down to the first that fits: that one vouches for all before it."""
    found: list[Anchored] = []
    for at in range(0, len(anchors), _MANY):
        some = anchors[at : at + _MANY]
        digests = catalog.digests_at(connection, [a.sequence for a in some])
        for anchor in some:
            if digests.get(anchor.sequence) == anchor.digest:
                return found
            found.append(anchor)
    return found


def _anchors(witness: Witness) -> list[Anchored]:
    """By their names, the furthest first."""
    found = [read_anchor_name(name) for name in witness.anchors()]
    return sorted((a for a in found if a is not None), key=lambda a: -a.sequence)


def _furthest(witness: Witness, anchors: Iterable[Anchored]) -> Anchored | None:
    return next((anchor for anchor in anchors if _is_true(witness, anchor)), None)


def _is_true(witness: Witness, anchor: Anchored) -> bool:
    try:
        witness.read_anchor(anchor.name)
    except Corrupt:
        return False
    return True


def _witness(control: Control) -> Witness:
    if control.witness is None:
        raise Precondition("this process cannot tell whose signature the audit bears")
    return control.witness
