"""A maintenance window: when scheduled backups may start, every day, on the clock of a time zone.

A window that a change of the clock swallows begins as much later as the clock jumps, and is as
long as it says. One that holds the change ends when the clock says so: an hour sooner or later.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from whenever import Date, Instant, Time

from strongroom.model.errors import Invalid
from strongroom.model.protection.schedule import zone_of

_FORM = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)@([-+_/A-Za-z0-9. ]{1,64})")
_HINT = "write it as 22:00-06:00@Europe/Prague"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A scheduled backup that is held until its window opens. `missed`: one has closed since."""

    since: Instant
    opens: Instant
    missed: bool


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end` of every day; the next day's where that is not later."""

    start: Time
    end: Time
    zone: str  # IANA

    @classmethod
    def parse(cls, text: str) -> "Window":
        """`22:00-06:00@Europe/Prague`; the zone may be a Windows id. Raises Invalid."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise _invalid(text, "not of the form HH:MM-HH:MM@ZONE")
        try:
            start, end = Time.parse_iso(found[1]), Time.parse_iso(found[2])
        except ValueError as error:
            raise _invalid(text, "a day has 00:00 to 23:59") from error
        if start == end:
            raise _invalid(text, "it is empty; leave the window out to start at any time")
        return cls(start, end, zone_of(found[3]))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.start:HH:mm}-{self.end:HH:mm}@{self.zone}"

    def is_open(self, at: Instant) -> bool:
        """Whether a backup may start."""
        return any(opens <= at < closes for opens, closes in self._around(at))

    def next_open(self, at: Instant) -> Instant:
        """When a backup may start: at once, or when the window opens."""
        if self.is_open(at):
            return at
        return next(opens for opens, _ in self._around(at) if opens > at)

    def waiting(self, due: Instant, now: Instant) -> Waiting | None:
        """A backup that was due and may not start now; None when it may."""
        if due > now or self.is_open(now):
            return None
        closed = max(closes for _, closes in self._around(now) if closes <= now)
        return Waiting(since=due, opens=self.next_open(now), missed=closed > due)

    def _around(self, at: Instant) -> Iterator[tuple[Instant, Instant]]:
        """(opens, closes) of the days about a moment, in order."""
        today = at.to_tz(self.zone).date()
        return (self._of(today.add(days=days)) for days in range(-2, 3))

    def _of(self, day: Date) -> tuple[Instant, Instant]:
        until = day if self.end > self.start else day.add(days=1)
        first, last = day.at(self.start), until.at(self.end)
        opens, closes = (
            local.assume_tz(self.zone, disambiguation="compatible").to_instant()
            for local in (first, last)
        )
        if closes <= opens:
            length = last.assume_utc() - first.assume_utc()
            closes = opens + length
        return opens, closes


def _invalid(text: str, why: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is not a maintenance window: {why}",
        hint=_HINT,
        code="BMSUserErrorInvalidInput",
    )
