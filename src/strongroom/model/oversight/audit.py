"""The audit chain: what a record says, how each hangs on the one before, what an anchor proves.

The digest of a record is BLAKE3 of the digest before it (32 zero bytes for the first) and of its
fields as JSON: keys sorted, no blanks, ASCII. The signature is Ed25519 over `SIGNED_AS` and the
digest. An anchor is a signed statement of one record's number and digest, kept where whoever can
write the catalogue cannot rewrite it. A catalogue that was restored goes on behind a gap, with
numbers that were never given (audit_gap.py).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from blake3 import blake3
from whenever import Instant

from strongroom.model.oversight.audit_gap import Gap, is_known, leaps_from

GENESIS = bytes(32)
SIGNED_AS = b"strongroom-audit-1\n"
ANCHORED_AS = b"strongroom-anchor-1\n"
MOST_PROBLEMS = 100
FIELDS = (
    *("sequence", "at", "actor", "address", "action"),
    *("target", "detail", "before", "after"),
)
_NAME = re.compile(r"a/(\d{20})-([0-9a-f]{64})\.anchor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Who did what to what, when, from where, and what it was before and after."""

    sequence: int  # from 1, without gaps
    at: Instant
    actor: str
    address: str  # of the caller; empty for the service itself
    action: str
    target: str
    detail: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    previous: bytes
    digest: bytes
    signature: bytes

    def to_dict(self) -> dict[str, Any]:
        """As it is exported: all that is needed to check it again."""
        chained = {"previous": self.previous, "digest": self.digest, "signature": self.signature}
        return {**_said(self), **{name: value.hex() for name, value in chained.items()}}


class Problem(msgspec.Struct, kw_only=True, frozen=True):
    """What does not fit. `kind`: edited | missing | unlinked | forged | rewritten | lost |
    false anchor. `sequence` is the record.
    """

    sequence: int
    kind: str
    message: str


class Anchor(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What an anchor states. `at` is ISO 8601, the service's time."""

    installation: str
    sequence: int
    digest: str  # hex
    at: str


@dataclass(frozen=True, slots=True)
class Anchored:
    """The name of an anchor tells what it is about; only its content is signed."""

    name: str
    sequence: int
    digest: bytes


def anchor_name(sequence: int, digest: bytes) -> str:
    """Of the object: in the order of numbers."""
    return f"a/{sequence:020}-{digest.hex()}.anchor"


def read_anchor_name(name: str) -> Anchored | None:
    """The reverse; None for a name of another form."""
    found = _NAME.fullmatch(name)
    return found and Anchored(name, int(found[1]), bytes.fromhex(found[2]))


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Sorted keys, no blanks, ASCII: read and written again, it is the same."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def kept(at: Instant) -> Instant:
    """To the microsecond, as a row keeps it: a clock knows more."""
    return Instant.from_timestamp(at.timestamp(unit="microsecond"), unit="microsecond")


def digest_of(row: Mapping[str, Any], previous: bytes) -> bytes:
    """Of a record's fields; see above."""
    told = {name: row[name] for name in FIELDS} | {"at": kept(row["at"]).format_iso()}
    return blake3(previous + canonical(told)).digest()


def _said(record: Record) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in FIELDS}
    return {**told, "at": record.at.format_iso()}


@dataclass(slots=True)
class ChainCheck:
    """Reads records in their order and notes what does not fit.

    `last`: number and digest of the record before the first one. `signed(digest, signature)`:
    whether we signed it.
    """

    last: tuple[int, bytes] = (0, GENESIS)
    signed: Callable[[bytes, bytes], bool] | None = None  # None: not asked
    anchors: dict[int, list[Anchored]] = field(default_factory=dict)  # by number of the record
    gaps: Sequence[Gap] = ()  # that signed records of this chain name
    problems: list[Problem] = field(default_factory=list)
    rewritten: list[Anchored] = field(default_factory=list)
    checked: int = 0

    def see(self, records: Iterable[Record]) -> None:
        """The next ones."""
        for record in records:
            self._look(record)
            self.last = (record.sequence, record.digest)
            self.checked += 1

    def _look(self, record: Record) -> None:
        number, (before, digest) = record.sequence, self.last
        leaps = leaps_from(record.action, record.detail, before)
        if leaps:
            self._look_into(before, number)
        elif number != before + 1:
            self._note(before + 1, "missing", f"records {before + 1} to {number - 1} are missing")
        if (leaps or number == before + 1) and record.previous != digest:
            self._note(number, "unlinked", f"record {number} does not follow the one before it")
        row = {name: getattr(record, name) for name in FIELDS}
        if record.digest != digest_of(row, record.previous):
            self._note(number, "edited", f"record {number} is not what was written")
        if self.signed is not None and not self.signed(record.digest, record.signature):
            self._note(number, "forged", f"record {number} was not signed by this installation")
        for anchor in self.anchors.get(number, ()):
            if anchor.digest != record.digest and not is_known(self.gaps, number):
                self.rewritten.append(anchor)

    def _look_into(self, before: int, number: int) -> None:
        """The numbers that a leap passes over: what is anchored there is known to be lost."""
        for each in sorted(n for n in self.anchors if before < n < number):
            if not is_known(self.gaps, each):
                self.rewritten += self.anchors[each]

    def _note(self, sequence: int, kind: str, message: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(sequence=sequence, kind=kind, message=message))
