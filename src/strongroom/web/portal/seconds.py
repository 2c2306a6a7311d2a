"""Pick the second: what was committed when, as a picture, and what went in it."""

from dataclasses import dataclass

from whenever import Instant

from strongroom.control.wal.wal_timeline import Loss, WalTimeline

HOURS = (1, 6, 24)
_BARS = 120
_WORTH_TELLING = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """So many commits from `at` on; x and width in percent of the picture, height of 100."""

    at: Instant
    x: float
    width: float
    height: float
    commits: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """From `start` to `end`. reach: where any second can be had, (x, width) in percent."""

    start: Instant
    end: Instant
    hours: int
    bars: list[Bar]
    reach: list[tuple[float, float]]
    marks: list[tuple[float, Instant]]  # of the hours, or parts of one
    losses: list[tuple[float, Loss]]  # the newest first
    more_losses: int


def window(told: WalTimeline, at: Instant | None, hours: int) -> tuple[Instant, int] | None:
    """(its middle, seconds on either side) of what is shown: up to `at`, or to the log's end.

    None where no log is kept.
    """
    if not told.ranges:
        return None
    end = at or Instant.parse_iso(told.ranges[-1][1]).add(minutes=1)
    half = hours * 1800
    return end.subtract(seconds=half), half


def seconds_of(told: WalTimeline, around: tuple[Instant, int]) -> Seconds:
    """The picture of `around` = (middle, seconds on either side); `told` is of the same."""
    middle, half = around
    start, end = middle.subtract(seconds=half), middle.add(seconds=half)
    span = 2.0 * half
    width = max(60.0, span / _BARS)
    heights: dict[int, int] = {}
    for minute, commits in told.minutes:
        slot = int((Instant.parse_iso(minute) - start).total("seconds") // width)
        heights[slot] = heights.get(slot, 0) + commits
    most = max(heights.values(), default=1)
    bars = [
        Bar(
            at=start.add(seconds=slot * width),
            x=round(100 * slot * width / span, 2),
            width=round(100 * width / span, 2),
            height=round(max(4, 100 * commits / most), 1),
            commits=commits,
        )
        for slot, commits in sorted(heights.items())
        if 0 <= slot * width < span
    ]
    losses = sorted(told.losses, key=lambda loss: loss.at, reverse=True)
    return Seconds(
        start=start,
        end=end,
        hours=round(span / 3600),
        bars=bars,
        reach=_reach(told, start, end),
        marks=_marks(start, end),
        losses=[
            (_percent(Instant.parse_iso(loss.at), start, span), loss)
            for loss in losses[:_WORTH_TELLING]
        ],
        more_losses=max(0, len(losses) - _WORTH_TELLING),
    )


def _percent(at: Instant, start: Instant, span: float) -> float:
    return round(min(100.0, max(0.0, 100 * (at - start).total("seconds") / span)), 2)


def _reach(told: WalTimeline, start: Instant, end: Instant) -> list[tuple[float, float]]:
    found, span = [], (end - start).total("seconds")
    for first, last in told.ranges:
        x = _percent(Instant.parse_iso(first), start, span)
        until = _percent(Instant.parse_iso(last), start, span)
        if until > x:
            found.append((x, round(until - x, 2)))
    return found


def _marks(start: Instant, end: Instant) -> list[tuple[float, Instant]]:
    """Four or so, at whole parts of an hour."""
    span = (end - start).total("seconds")
    step = int(span // 4)
    first = -(-int(start.timestamp()) // step) * step
    times = [Instant.from_timestamp(each) for each in range(first, int(end.timestamp()), step)]
    return [(_percent(each, start, span), each) for each in times]
