"""What of the audit somebody wants to see: who, what, to what, when, and how it ended."""

import contextlib
import re
from collections.abc import Callable

import msgspec
from whenever import Date, Instant, OffsetDateTime, PlainDateTime, Time, ZonedDateTime

from strongroom.model.errors import Invalid

DONE, REFUSED, FAILED = "done", "refused", "failed"
OUTCOMES = (DONE, REFUSED, FAILED)
# How actions end that say so, by SQL's LIKE; all others were done.
ENDINGS = {
    REFUSED: ("%/refuse", "%/deny"),
    FAILED: (
        *("%/fail", "%Failed", "%/damaged", "%/quarantine", "%/alarm", "%/gap", "storage/%"),
    ),
}
LONGEST = 200  # letters of a field
_PATTERNS = {
    outcome: re.compile("|".join(f"({like.replace('%', '.*')})" for like in likes))
    for outcome, likes in ENDINGS.items()
}


class AuditFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Empty fields leave nothing out. who: a piece of a name or id; what: of an action; scope: of
    what it was done to; `since` is within, `until` is not.
    """

    who: str = ""
    what: str = ""
    scope: str = ""
    since: Instant | None = None
    until: Instant | None = None
    outcome: str = ""

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self == AuditFilter()


def outcome_of(action: str) -> str:
    """done, refused or failed."""
    return next((each for each, like in _PATTERNS.items() if like.fullmatch(action)), DONE)


def read_filter(told: dict[str, str], zone: str) -> AuditFilter:
    """From fields of that name; times without an offset are of `zone`. Raises Invalid."""
    outcome = told.get("outcome", "").strip().lower()
    if outcome and outcome not in OUTCOMES:
        raise Invalid(f"{outcome[:40]!r} is no outcome", hint=f"one of: {', '.join(OUTCOMES)}")
    since, until = (told.get(name, "").strip() for name in ("since", "until"))
    return AuditFilter(
        **{name: told.get(name, "").strip()[:LONGEST] for name in ("who", "what", "scope")},
        since=_read_time(since, zone, ends=False) if since else None,
        until=_read_time(until, zone, ends=True) if until else None,
        outcome=outcome,
    )


def _read_time(text: str, zone: str, *, ends: bool) -> Instant:
    """Of a day its beginning, or with `ends` its end."""
    form = text.replace(" ", "T", 1)
    reads: list[Callable[[], ZonedDateTime | OffsetDateTime]]
    if len(form) == len("2026-11-22"):
        reads = [lambda: Date.parse_iso(form).add(days=int(ends)).at(Time(0)).assume_tz(zone)]
    else:
        reads = [
            lambda: PlainDateTime.parse_iso(form).assume_tz(zone),
            lambda: OffsetDateTime.parse_iso(form),
            lambda: Instant.parse_iso(form).to_tz("UTC"),
        ]
    for read in reads:
        with contextlib.suppress(ValueError):
            return read().to_instant()
    raise Invalid(f"{text[:40]!r} is no time", hint="write it as 2026-11-22, or 2026-11-22 14:05")
