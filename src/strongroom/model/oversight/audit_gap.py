"""A gap in the audit that is known: a catalogue was restored from a copy, or made anew.

What was recorded behind the copy is lost, and its anchors stay in storage for ever. The record by
which the chain goes on says so, signed like any other: who restored it, and which records the
anchors knew. Its number leaps over all that may have been given. Nothing is hidden by that: the
anchors tell for ever that there was something else, and every verification names the gap.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

CONTINUED = "audit/continue"
# Numbers passed over behind the last anchor: more than are given between two anchors.
LEAP = 100_000


class Gap(msgspec.Struct, kw_only=True, frozen=True):
    """Records `first` to `last` are not those that were anchored; record `sequence` says so.

    `after` is the last record that was there, `digest` (hex) that of the last that was anchored.
    """

    sequence: int
    at: str  # ISO 8601
    by: str
    after: int
    first: int
    last: int
    digest: str


def told_of(gap: Gap) -> dict[str, Any]:
    """The detail of the record that names it."""
    names = ("after", "first", "last", "digest")
    return {name: getattr(gap, name) for name in names}


def read_gap(sequence: int, at: str, by: str, detail: Mapping[str, Any]) -> Gap | None:
    """The reverse; None for what is no such detail."""
    try:
        return msgspec.convert({**detail, "sequence": sequence, "at": at, "by": by}, type=Gap)
    except msgspec.ValidationError:
        return None


def leaps_from(action: str, detail: Mapping[str, Any], before: int) -> bool:
    """Whether a record goes on from that one behind a gap."""
    return action == CONTINUED and detail.get("after") == before


def is_known(gaps: Iterable[Gap], sequence: int) -> bool:
    """Whether what was anchored there is told to be lost."""
    return any(gap.first <= sequence <= gap.last for gap in gaps)
