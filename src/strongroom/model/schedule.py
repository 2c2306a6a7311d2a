"""Repeating intervals, as Azure's policies write them: `R/2021-08-15T06:30:00+00:00/P1W`.

The k-th time is anchor + k periods, never the previous one + a period: month ends (31, 28, 31) and
daylight saving then come out right. `R2/...` fires three times: the anchor and two repeats.
Source: ISO 8601-1, 5.6.2; Azure Data Protection, ScheduleBasedBackupSchedule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tzlocal.windows_tz import win_tz
from whenever import Instant, ItemizedDelta, OffsetDateTime, TimeZoneNotFoundError, ZonedDateTime

from strongroom.model.errors import Invalid

_FORM = re.compile(r"R(?P<count>\d*)/(?P<start>[^/]{1,64})/(?P<period>P[^/]{1,32})")
_SECONDS = {
    "years": 31556952,
    "months": 2629746,
    "weeks": 604800,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
}
_HINT = "write it as R/<start with offset>/<period>, such as R/2026-01-01T02:00:00+00:00/P1D"
SHORTEST_SECONDS = 3600


def zone_of(name: str) -> str:
    """A Windows or IANA time zone name -> IANA; Terraform's empty name is UTC."""
    found = win_tz.get(name, name) or "UTC"
    try:
        Instant.from_timestamp(0).to_tz(found)
    except (TimeZoneNotFoundError, ValueError) as error:
        raise Invalid(
            f"unknown time zone {name[:64]!r}",
            hint="use a Windows id (W. Europe Standard Time) or an IANA one (Europe/Berlin)",
            code="BMSUserErrorInvalidInput",
        ) from error
    return found


def _invalid(text: str, why: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is not a repeating interval: {why}",
        hint=_HINT,
        code="BMSUserErrorInvalidInput",
    )


@dataclass(frozen=True, slots=True)
class Repeating:
    """One repeating interval in one time zone."""

    anchor: ZonedDateTime
    period: dict[str, int]  # unit -> count, as ZonedDateTime.add takes them
    repeats: int | None  # None: for ever

    @classmethod
    def parse(cls, text: str, time_zone: str = "UTC") -> "Repeating":
        """Read it at the door; Invalid says what is wrong."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise _invalid(text, "not of the form R/start/period")
        try:
            delta = ItemizedDelta.parse_iso(found["period"])
            start = OffsetDateTime.parse_iso(found["start"])
        except ValueError as error:
            raise _invalid(text, str(error)) from error
        period: dict[str, int] = {
            unit: count for unit, count in delta.items() if count and unit in _SECONDS
        }
        length = sum(count * _SECONDS[unit] for unit, count in period.items())
        if any(count < 0 for count in period.values()) or length < SHORTEST_SECONDS:
            raise _invalid(text, "the period is shorter than an hour")
        if length > 200 * _SECONDS["years"]:
            raise _invalid(text, "the period is longer than two centuries")
        count = found["count"]
        if len(count) > 6:
            raise _invalid(text, "too many repeats")
        return cls(start.to_tz(zone_of(time_zone)), period, int(count) if count else None)

    def nth(self, k: int) -> ZonedDateTime:
        """The k-th time, from 0."""
        steps = {unit: count * k for unit, count in self.period.items()}
        return self.anchor.add(**steps, disambiguation="compatible")

    def after(self, moment: Instant) -> Iterator[Instant]:
        """Every time strictly after a moment, in order."""
        length = sum(count * _SECONDS[unit] for unit, count in self.period.items())
        passed = (moment - self.anchor.to_instant()).total("seconds")
        k = max(0, int(passed // length) - 2)
        while self._in_range(k) and self.nth(k).to_instant() <= moment:
            k += 1
        while self._in_range(k):
            yield self.nth(k).to_instant()
            k += 1

    def next_after(self, moment: Instant) -> Instant | None:
        """The first time strictly after a moment; None when the repeats are used up."""
        return next(self.after(moment), None)

    def between(self, start: Instant, end: Instant) -> Iterator[Instant]:
        """Every time after `start`, up to and with `end`."""
        for time in self.after(start):
            if time > end:
                return
            yield time

    def _in_range(self, k: int) -> bool:
        return self.repeats is None or k <= self.repeats
