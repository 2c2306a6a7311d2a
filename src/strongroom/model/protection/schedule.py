"""Repeating intervals, as Azure's policies write them: `R/2021-08-15T06:30:00+00:00/P1W`.

The k-th time is anchor + k periods, never the previous one + a period: month ends (31, 28, 31) and
daylight saving then come out right. In a gap the clock goes on by the gap; a repeated hour fires
once, at the offset that the start has if either of the two has it, else the first time.
`R2/...` fires three times: the anchor and two repeats.
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
_WINDOWS = {windows.lower(): iana for windows, iana in win_tz.items()}
SHORTEST_SECONDS = 3600
LONGEST_YEARS = 10


def zone_of(name: str) -> str:
    """A Windows or IANA time zone name -> IANA; Terraform's empty name is UTC."""
    found = _WINDOWS.get(name.lower(), name) or "UTC"
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
        zone = zone_of(time_zone)
        try:
            delta = ItemizedDelta.parse_iso(found["period"])
            anchor = OffsetDateTime.parse_iso(found["start"]).to_tz(zone)
        except ValueError as error:
            raise _invalid(text, str(error)) from error
        period: dict[str, int] = {str(unit): count for unit, count in delta.items() if count}
        if not _SECONDS.keys() >= period.keys():
            raise _invalid(text, "the period has fractions of a second")
        length = _length(period)
        if any(count < 0 for count in period.values()) or length < SHORTEST_SECONDS:
            raise _invalid(text, "the period is shorter than an hour")
        if length > LONGEST_YEARS * _SECONDS["years"]:
            raise _invalid(text, f"the period is longer than {LONGEST_YEARS} years")
        count = found["count"]
        if len(count) > 6:
            raise _invalid(text, "too many repeats")
        return cls(anchor, period, int(count) if count else None)

    @property
    def seconds(self) -> int:
        """From one time to the next, on the average."""
        return _length(self.period)

    def nth(self, k: int) -> ZonedDateTime:
        """The k-th time, from 0."""
        steps = {unit: count * k for unit, count in self.period.items()}
        return self.anchor.add(**steps, disambiguation="compatible")

    def after(self, moment: Instant) -> Iterator[Instant]:
        """Every time strictly after a moment, in order; to the end of the year 9999."""
        passed = (moment - self.anchor.to_instant()).total("seconds")
        k = max(0, int(passed // _length(self.period)) - 2)
        while (time := self._time(k)) is not None:
            if time > moment:
                yield time
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

    def _time(self, k: int) -> Instant | None:
        if self.repeats is not None and k > self.repeats:
            return None
        try:
            return self.nth(k).to_instant()
        except ValueError:  # beyond what a calendar holds
            return None


def _length(period: dict[str, int]) -> int:
    """Seconds, on the average: a month is a twelfth of a Gregorian year."""
    return sum(count * _SECONDS[unit] for unit, count in period.items())
