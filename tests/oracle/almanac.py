"""Calendars and clocks by the standard library alone: repeating intervals, durations, periods.

An interval's k-th time is its start moved by k periods, on the wall clock of its zone; hours and
less are counted in real time. A time that the clock leaps over is as much later; of an hour that
comes twice it is the one with the offset of the start, if either has it, else the first.
Source: ISO 8601-1; Microsoft, "Backup policy" of Azure Data Protection, timeZone.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# Unicode CLDR, windowsZones: those that the tests use.
WINDOWS = {
    "": "UTC",
    "utc": "UTC",
    "w. europe standard time": "Europe/Berlin",
    "gmt standard time": "Europe/London",
    "eastern standard time": "America/New_York",
    "pacific standard time": "America/Los_Angeles",
    "india standard time": "Asia/Kolkata",
    "tokyo standard time": "Asia/Tokyo",
    "lord howe standard time": "Australia/Lord_Howe",
    "samoa standard time": "Pacific/Apia",
    "new zealand standard time": "Pacific/Auckland",
    "nepal standard time": "Asia/Katmandu",
    "newfoundland standard time": "America/St_Johns",
}
_INTERVAL = re.compile(r"R(\d*)/(.+)/(P.+)")
_LENGTH = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?"
)


@dataclass(frozen=True)
class Length:
    """What a calendar moves by, and after it what a clock does."""

    months: int
    days: int
    seconds: int = 0

    def times(self, k: int) -> "Length":
        return Length(self.months * k, self.days * k, self.seconds * k)


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """A Windows or IANA name."""
    return ZoneInfo(WINDOWS.get(name.lower(), name))


@lru_cache(maxsize=256)
def length_of(text: str) -> Length:
    """`P1Y2M3W4DT5H`."""
    found = _LENGTH.fullmatch(text)
    assert found is not None, text
    years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in found.groups())
    clock = hours * 3600 + minutes * 60 + seconds
    return Length(years * 12 + months, weeks * 7 + days, clock)


def moved(start: datetime, length: Length, zone: ZoneInfo) -> datetime:
    """A moment (UTC) moved on the wall clock of a zone, in UTC again."""
    local = start.astimezone(zone)
    count = local.year * 12 + local.month - 1 + length.months
    year, month = divmod(count, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    wall = local.replace(tzinfo=None, fold=0, year=year, month=month + 1, day=day)
    wall += timedelta(days=length.days)
    if (length.months, length.days) == (0, 0):
        return start + timedelta(seconds=length.seconds)
    return _settled(wall, zone, local.utcoffset()) + timedelta(seconds=length.seconds)


def _settled(wall: datetime, zone: ZoneInfo, offset: timedelta | None) -> datetime:
    first = wall.replace(tzinfo=zone, fold=0)
    second = wall.replace(tzinfo=zone, fold=1)
    is_there = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall
    if is_there and second.utcoffset() == offset:
        return second.astimezone(UTC)
    return first.astimezone(UTC)


@dataclass(frozen=True)
class Interval:
    """A repeating interval."""

    start: datetime  # UTC
    period: Length
    repeats: int | None
    zone: ZoneInfo

    @classmethod
    def of(cls, text: str, zone: ZoneInfo) -> "Interval":
        found = _INTERVAL.fullmatch(text)
        assert found is not None, text
        start = datetime.fromisoformat(found[2]).astimezone(UTC)
        return cls(start, length_of(found[3]), int(found[1]) if found[1] else None, zone)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its times after a moment, in order."""
        period = self.period
        about = period.months * 30.44 * 86400 + period.days * 86400 + period.seconds
        k = max(0, int((moment - self.start).total_seconds() / about) - 3)
        while self.repeats is None or k <= self.repeats:
            time = moved(self.start, period.times(k), self.zone)
            if time > moment:
                yield time
            k += 1

    def next(self, moment: datetime) -> datetime | None:
        return next(self.after(moment), None)


def period_of(word: str, local: datetime) -> date:
    """The first day of the day, week, month or year that a local time lies in.

    Azure's weeks begin on Sunday.
    """
    day = local.date()
    return {
        "FirstOfDay": day,
        "FirstOfWeek": day - timedelta(days=day.isoweekday() % 7),
        "FirstOfMonth": day.replace(day=1),
        "FirstOfYear": day.replace(month=1, day=1),
    }[word]
