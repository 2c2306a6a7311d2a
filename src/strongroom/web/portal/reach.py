"""How far the points of instances reach, as bars beneath one another on one axis of time."""

from collections.abc import Iterable
from dataclasses import dataclass

from whenever import Instant

from strongroom.control.overview.footprints import Footprint

WIDTH = 96  # of the picture, in its own units
_LEAST = 2.0  # of a bar: to be seen at all


@dataclass(frozen=True, slots=True)
class Bar:
    """From the oldest point to now, and from now to when the last expires: places on the axis."""

    first: float
    now: float
    last: float


@dataclass(frozen=True, slots=True)
class Axis:
    """One for all that are shown together, from whole year to whole year."""

    start: Instant
    end: Instant
    now: Instant

    def bar(self, first: Instant, last: Instant) -> Bar:
        """Of one instance."""
        now = self._place(self.now)
        begin = min(self._place(first), now - _LEAST / 2)
        return Bar(round(begin, 1), round(now, 1), round(max(self._place(last), now), 1))

    def _place(self, at: Instant) -> float:
        return WIDTH * ((at - self.start) / (self.end - self.start))


def axis_of(footprints: Iterable[Footprint], now: Instant) -> Axis:
    """That all of them fit on; a year around now where there is none."""
    told = list(footprints)
    first = min([now, *(each.first for each in told if each.first)])
    last = max([now, *(each.last for each in told if each.last)])
    return Axis(_january(first, 0), _january(last, 1), now)


def _january(at: Instant, more: int) -> Instant:
    return Instant.from_utc(at.to_tz("UTC").year + more, 1, 1)
