"""What may be gone, and when: by age, or a fortnight after somebody deleted it; held, never."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from oracle.book import Row
from oracle.look import Look

FORTNIGHT = timedelta(days=14)
# States of soft delete in which a deletion lasts a fortnight, unless somebody asks for its purge.
_LASTING = {False: {"On", "AlwaysOn"}, True: {"AlwaysOn"}}
_ENDS = ("recoveryPoint/expire", "recoveryPoint/delete", "recoveryPoint/purge")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def gone(look: Look) -> set[str]:
    """Points that have ended, as the audit says."""
    if look.book is None:
        return set()
    ended = {record["target"] for action in _ENDS[1:] for record in look.book.records(action)}
    purged = {record["target"] for record in look.book.records("instance/purge")}
    known = look.memory.receipts.values()
    return ended | {receipt.point for receipt in known if receipt.container in purged}


def in_time(look: Look) -> Iterator[str]:
    """Part of I4. Nothing ended before its time, nothing that was held."""
    if look.book is None:
        return
    ends = {receipt.point: receipt.expires_at for receipt in look.memory.receipts.values()}
    for record in look.book.records("recoveryPoint/expire"):
        if record["target"] in ends and _at(record) < ends[record["target"]]:
            yield f"point {record['target']} was expired before its end"
    for kind, deleting in (("recoveryPoint", "softDelete"), ("instance", "delete")):
        deletions = look.book.records(f"{kind}/{deleting}")
        hastened = {record["target"] for record in look.book.records(f"{kind}/purgeNow")}
        for record in look.book.records(f"{kind}/purge"):
            soon = record["target"] in hastened
            yield from _after_a_fortnight(record, deletions, soon=soon)
    yield from _never_held(look)


def _after_a_fortnight(record: Row, deletions: list[Row], *, soon: bool) -> Iterator[str]:
    """It was deleted by somebody, at the time that its purge names, and long enough before.

    `soon`: somebody has asked for its purge, which AlwaysOn allows to nobody.
    """
    named = datetime.fromisoformat(record["detail"]["deleted"])
    told = [deletion for deletion in deletions if _at(deletion) == named]
    if not told:
        yield f"{record['target']} was purged, and nobody had deleted it"
    elif (
        told[0]["detail"]["softDelete"] in _LASTING[soon]
        and _at(record) < _at(told[0]) + FORTNIGHT
    ):
        yield f"{record['target']} was purged within a fortnight of its deletion"


def _never_held(look: Look) -> Iterator[str]:
    """Between the record that a hold was set and the one that it was let go."""
    assert look.book is not None
    names = {row["name"].lower(): row["id"] for row in look.book["instances"]}
    points = look.book.points()
    for hold in look.book.records("hold/set"):
        parts = hold["target"].split("/")
        instance, name = names.get(parts[-3].lower()), parts[-1]
        until = _released(look, hold, instance, name)
        held = hold["detail"]["point"]
        for record in (each for action in _ENDS for each in look.book.records(action)):
            point = record["target"]
            mine = point == held or (
                len(held) != 32 and points.get(point, {}).get("instance_id") == instance
            )
            if mine and hold["sequence"] < record["sequence"] < until:
                yield f"point {point} was held by {name}, and went by {record['action']}"


def _released(look: Look, hold: Row, instance: str | None, name: str) -> float:
    """The number of the record that let it go; infinite while it holds."""
    assert look.book is not None
    later = [
        record["sequence"]
        for record in look.book.records("hold/released")
        if record["target"] == instance
        and record["detail"]["hold"].lower() == name.lower()
        and record["sequence"] > hold["sequence"]
    ]
    return min(later, default=float("inf"))


def _at(record: Row) -> datetime:
    return _EPOCH + timedelta(microseconds=record["at"])
