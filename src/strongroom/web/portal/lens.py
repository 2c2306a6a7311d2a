"""Half a year around today, day by day: taken above the line, expiring below, planned ahead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whenever import Date, Instant, Time

from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.points.retention import Fire
from strongroom.web.portal.band import day_of

WEEKS = 26
_BEFORE = 91  # days
DAYS = WEEKS * 7
_RANK = {"default": 0, "daily": 0, "weekly": 1, "monthly": 2, "yearly": 3}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Tick:
    """One day's mark; x in percent. kind: kept | gone | planned above the line, ends below."""

    x: float
    tag: str
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Lens:
    """`first` to the day after `last`. any_second, and each mark: (x, width or words)."""

    first: Date
    last: Date
    today: float
    ticks: list[Tick]
    any_second: list[tuple[float, float]]
    months: list[tuple[float, str]]
    counts: dict[str, int]


def lens_of(
    points: Sequence[RecoveryPoint],
    taken: Iterable[tuple[Instant, int]],
    planned: Iterable[Fire],
    ranges: Iterable[tuple[Instant, Instant]],
    now: Instant,
    zone: str,
) -> Lens:
    """`taken`: whatever was, of which those that are no `points` any more are shown as gone."""
    today = now.to_tz(zone).date()
    first = today.subtract(days=_BEFORE)
    kept = {point.taken_at for point in points}
    found: dict[tuple[int, str], tuple[str, str]] = {}  # (day, kind) -> its highest tag, words

    begins = first.at(Time(0)).assume_tz(zone).to_instant()
    ends = first.add(days=DAYS).at(Time(0)).assume_tz(zone).to_instant()

    def note(at: Instant, tag: str, kind: str, words: str) -> None:
        if not begins <= at < ends:
            return
        day = day_of(at, zone)
        number = day.to_stdlib().toordinal() - first.to_stdlib().toordinal()
        before = found.get((number, kind))
        if before is None or _rank(before[0]) < _rank(tag):
            found[number, kind] = tag, f"{day.format_iso()}: {words}"

    for at, _ in taken:
        if at not in kept:
            note(at, "default", "gone", "a point that has expired")
    for point in points:
        tag = (point.tag or "Default").lower()
        note(point.taken_at, tag, "kept", f"{point.tag or 'Default'} point")
        note(point.expires_at, tag, "ends", f"{point.tag or 'Default'} point expires")
    for fire in planned:
        note(fire.at, fire.verdict.tag.lower(), "planned", f"{fire.verdict.tag} point planned")
    ticks = [
        Tick(_percent(day + 0.5), tag, kind, words)
        for (day, kind), (tag, words) in sorted(found.items())
    ]
    return Lens(
        first=first,
        last=first.add(days=DAYS - 1),
        today=_percent(_BEFORE + _share_of_day(now, zone)),
        ticks=ticks,
        any_second=[_stretch(each, first, zone) for each in ranges],
        months=_months(first),
        counts={
            kind: sum(each.kind == kind for each in ticks)
            for kind in ("kept", "gone", "planned", "ends")
        },
    )


def until(now: Instant) -> Instant:
    """Up to when what is planned is shown."""
    return now.add(hours=24 * (DAYS - _BEFORE))


def _rank(tag: str) -> int:
    return _RANK.get(tag, 0)


def _percent(days: float) -> float:
    return round(min(100.0, max(0.0, 100 * days / DAYS)), 2)


def _share_of_day(at: Instant, zone: str) -> float:
    local = at.to_tz(zone)
    return (local.hour * 60 + local.minute) / 1440


def _stretch(times: tuple[Instant, Instant], first: Date, zone: str) -> tuple[float, float]:
    x, end = (
        _percent(
            at.to_tz(zone).date().to_stdlib().toordinal()
            - first.to_stdlib().toordinal()
            + _share_of_day(at, zone)
        )
        for at in times
    )
    return x, round(max(0.15, end - x), 2)


def _months(first: Date) -> list[tuple[float, str]]:
    found = []
    for number in range(DAYS):
        day = first.add(days=number)
        if day.day == 1:
            year = f" {day.year}" if day.month == 1 else ""
            found.append((_percent(number), _MONTHS[day.month - 1] + year))
    return found
