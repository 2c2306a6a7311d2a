"""A moment to restore to: a time, a position in the log, a transaction or a named point."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from whenever import Instant, OffsetDateTime

from strongroom.model.errors import Invalid
from strongroom.model.postgres import Lsn, lsn_from_text

TIME, LSN, XID, NAME, FOLLOW = "time", "lsn", "xid", "name", "follow"
_NAMES = {"time": TIME, "lsn": LSN, "xid": XID, "name": NAME, "follow": FOLLOW}
_LONGEST_NAME = 63  # bytes
_XID = re.compile(r"\d{1,10}")


class Moment(msgspec.Struct, kw_only=True, frozen=True):
    """kind: time | lsn | xid | name | follow. value: ISO 8601 UTC, `16/B374D848`, a number or a
    name; `on` for what follows: all that is kept and all that will be, as a standby.

    timeline: the one it lies on; 0: the newest. before: what comes just before it is there, itself
    is not: of a time all that was committed then, of a position the record that begins there or
    later, of a transaction itself.
    """

    kind: str
    value: str
    timeline: int = 0
    before: bool = False

    @property
    def at(self) -> Instant:
        """Of a time."""
        return Instant.parse_iso(self.value)

    @property
    def microseconds(self) -> int:
        """Of a time: since 1970."""
        return self.at.timestamp(unit="microsecond")

    @property
    def lsn(self) -> Lsn:
        """Of a position."""
        return lsn_from_text(self.value)

    def __str__(self) -> str:
        on = f" on timeline {self.timeline}" if self.timeline else ""
        if self.kind == FOLLOW:
            return f"all of the log, as it comes{on}"
        words = {TIME: self.value, LSN: f"position {self.value}", XID: f"transaction {self.value}"}
        told = words.get(self.kind, f"restore point {self.value}") + on
        return f"just before {told}" if self.before else told


def read_moment(wish: Mapping[str, Any], time: object, now: Instant) -> Moment | None:
    """From `recoveryPointTime` (`time`), or our own wish: one of time, lsn, xid and name.

    None when nothing of that kind is asked. Raises Invalid.
    """
    given = {str(key).lower(): value for key, value in wish.items() if value not in (None, "")}
    timeline, before = given.pop("timeline", 0), given.pop("before", False)
    if time:
        given["time"] = time
    if not given:
        return None
    if len(given) != 1 or next(iter(given)) not in _NAMES:
        raise _invalid("one moment is restored", "send one of time, lsn, xid and name")
    ((name, value),) = given.items()
    if isinstance(timeline, bool) or not isinstance(timeline, int) or not 0 <= timeline < 1 << 32:
        raise _invalid(f"{str(timeline)[:20]!r} is no timeline", "send a number, or leave it out")
    kind = _NAMES[name]
    if not isinstance(before, bool) or (before and kind in {NAME, FOLLOW}):
        raise _invalid(
            "before is true or false, and goes with a time, a position or a transaction",
            "leave it out",
        )
    return Moment(kind=kind, value=_value(name, str(value), now), timeline=timeline, before=before)


def _value(name: str, text: str, now: Instant) -> str:
    if name == TIME:
        return _time(text, now)
    if name == LSN:
        lsn_from_text(text)
        return text.upper()
    if name == XID and not (_XID.fullmatch(text) and 3 <= int(text) < 1 << 32):
        raise _invalid(f"{text[:40]!r} is no transaction", "send the number that txid shows")
    if not text or len(text.encode()) > _LONGEST_NAME or any(ord(letter) < 32 for letter in text):
        raise _invalid(f"{text[:80]!r} is no name of a restore point", "send its name")
    return text


def _time(text: str, now: Instant) -> str:
    try:
        at = OffsetDateTime.parse_iso(text).to_instant()
    except ValueError as error:
        hint = "send 2026-11-26T21:04:05.5Z"
        raise _invalid(f"{text[:60]!r} is no time", hint) from error
    if at > now:
        raise _invalid(
            f"{at.format_iso()} is in the future",
            "name a time that has been; without a zone it is UTC",
        )
    return at.format_iso()


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")
