"""Points in time as pictures: a line from the day it was taken to the day it expires, in days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from whenever import Date, Instant

from strongroom.model.points.recovery_point import RecoveryPoint

_PITCH = {"yearly": 7, "monthly": 4, "weekly": 4, "daily": 3}
_MOST_LINES = 120  # of a lane; the newest
_STEPS = 4
_LAST_YEAR = 9998
WEEKS = 53


@dataclass(frozen=True, slots=True)
class Line:
    """One point: `lived` from x1 to `now`, `left` from there to x2, in days from the start."""

    x1: int
    now: int
    x2: int
    y: int


@dataclass(frozen=True, slots=True)
class Lane:
    """The points of one tag; oldest, newest and last_end as ISO dates; kept: for how many days."""

    tag: str
    count: int
    height: int
    lines: list[Line]
    kept: int
    oldest: str
    newest: str
    last_end: str


@dataclass(frozen=True, slots=True)
class Band:
    """All lanes over the same days."""

    first_year: int
    last_year: int
    days: int
    today: int
    years: list[tuple[int, int]]  # each, and where it begins, in days
    lanes: list[Lane]


@lru_cache(maxsize=20_000)
def day_of(at: Instant, zone: str) -> Date:
    """On which day that is there: of thousands of points several pictures ask for it."""
    return at.to_tz(zone).date()


Span = tuple[Instant, Instant, str]  # taken, expires, its tag


def band_of(points: Sequence[RecoveryPoint], now: Instant, zone: str) -> Band | None:
    """The points of an instance; None when it has none."""
    spans = [(point.taken_at, point.expires_at, point.tag or "Default") for point in points]
    return band_of_spans(spans, now, zone)


def band_of_spans(spans: Sequence[Span], now: Instant, zone: str) -> Band | None:
    """The same of points that are there, or will be."""
    if not spans:
        return None
    today = now.to_tz(zone).date()
    days = [(day_of(taken, zone), day_of(end, zone)) for taken, end, _ in spans]
    first_year = min(today, *(taken for taken, _ in days)).year
    last_year = min(max(today, *(end for _, end in days)).year, _LAST_YEAR)
    first = _number(Date(first_year, 1, 1))
    at = _number(today) - first
    lanes: dict[str, list[tuple[int, int]]] = {}
    for (_, _, tag), (taken, end) in zip(spans, days, strict=True):
        lanes.setdefault(tag, []).append((_number(taken) - first, _number(end) - first))
    years = [
        (year, _number(Date(year, 1, 1)) - first) for year in range(first_year, last_year + 2)
    ]
    order = sorted(lanes, key=lambda tag: -max(end - taken for taken, end in lanes[tag]))
    made = [_lane(tag, lanes[tag], at, first) for tag in order]
    return Band(first_year, last_year, years[-1][1], at, years[:-1], made)


def _number(day: Date) -> int:
    return day.to_stdlib().toordinal()


def _lane(tag: str, points: list[tuple[int, int]], today: int, first: int) -> Lane:
    pitch = _PITCH.get(tag.lower(), 3)
    shown = sorted(points)[-_MOST_LINES:]
    lines = []
    for number, (taken, expires) in enumerate(shown):
        end = max(expires, taken + 1)
        lines.append(Line(taken, min(max(today, taken), end), end, number * pitch + 3))
    lives = sorted(end - taken for taken, end in points)
    taken_on, ends = (sorted(each) for each in zip(*points, strict=True))
    told = [_iso(first + day) for day in (taken_on[0], taken_on[-1], ends[-1])]
    height = len(shown) * pitch + 6
    return Lane(tag, len(points), height, lines, lives[len(lives) // 2], *told)


def _iso(number: int) -> str:
    return date.fromordinal(number).isoformat()


@dataclass(frozen=True, slots=True)
class Cell:
    """A day: its week (column), its weekday (row), and how much was new: h1 to h4, none, empty.

    day: ISO. drilled: a drill has passed on it.
    """

    week: int
    weekday: int
    step: str
    words: str
    day: str
    drilled: bool


def year_of(
    taken: Sequence[tuple[Instant, int]],
    now: Instant,
    zone: str,
    *,
    daily: bool,
    drilled: Sequence[Instant] = (),
) -> list[Cell]:
    """The last 53 weeks by the new bytes that were stored each day.

    `daily`: whether each day was promised a point, so that one without is missing. `drilled`:
    when drills have passed.
    """
    today = now.to_tz(zone).date()
    stored: dict[Date, int] = {}
    for at, size in taken:
        day = day_of(at, zone)
        stored[day] = stored.get(day, 0) + size
    start = today.subtract(days=(WEEKS - 1) * 7 + today.day_of_week().value - 1)
    sizes = sorted(size for day, size in stored.items() if day >= start)
    begun = min(stored, default=today)
    proved = {at.to_tz(zone).date() for at in drilled}
    cells = []
    for number in range(_number(today) - _number(start) + 1):
        day = start.add(days=number)
        step = _step(stored.get(day), sizes, missing=daily and begun < day < today)
        words = f"{day.format_iso()}: " + ("a point" if day in stored else "no point")
        words += ", a drill passed" if day in proved else ""
        place = number // 7, number % 7
        cells.append(Cell(*place, step, words, day.format_iso(), day in proved))
    return cells


def _step(size: int | None, sizes: list[int], *, missing: bool) -> str:
    if size is None:
        return "none" if missing else "empty"
    return f"h{1 + sum(each < size for each in sizes) * _STEPS // max(1, len(sizes))}"
