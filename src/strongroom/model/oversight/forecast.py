"""What a policy will store in years to come, from what its instances have stored until now.

Each backup puts a pack of what has changed. Of that some is held by all that comes after (rows
that are added, pages that are changed now and then), the rest by its own point alone (pages that
every backup reads anew). When less than half of what the newest point holds is live, a backup is
full again and begins a new generation (docs/decisions/0110); the old one goes with its last point.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whenever import Instant

from strongroom.model.oversight.cost import PriceSheet, units_of
from strongroom.model.oversight.outside import growth_of
from strongroom.model.points.preview import Preview
from strongroom.model.protection.policy import DEFAULT_TAG

LEAST_LIVE = 0.5
NEWEST = ""  # in the place of a tag: the newest copy, which any policy would keep
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A point of an instance, kept or not. Bytes: put by it, needed by it, before compression."""

    at: Instant
    ends: Instant
    is_kept: bool
    generation: str
    is_full: bool
    stored: int
    whole: int
    raw: int
    tag: str = DEFAULT_TAG


@dataclass(frozen=True, slots=True)
class Measured:
    """One instance. Bytes.

    whole: of a full backup now; change: put by an increment (as `whole`: none was seen); held: the
    share of it that later points hold too; growth: of `whole`, a day; server: the server's size.
    """

    points: Sequence[Taken]  # those that are kept, the oldest first
    whole: float
    change: float
    held: float
    growth: float
    server: float


def measure(points: Sequence[Taken], server: int) -> Measured | None:
    """From an instance's points, the oldest first; None where there is none."""
    if not points:
        return None
    newest = points[-1]
    mine = [point for point in points if point.generation == newest.generation]
    first, rest = mine[0], [point for point in mine[1:] if not point.is_full]
    changes = [point.stored for point in points if not point.is_full]
    put = sum(point.stored for point in rest)
    ratio = first.whole / first.raw if first.raw else 0.0
    days = [(_days(point.at, points[0].at), point.raw) for point in points]
    return Measured(
        points=[point for point in points if point.is_kept],
        whole=newest.raw * ratio,
        change=sum(changes) / len(changes) if changes else newest.raw * ratio,
        held=min(1.0, max(0.0, (newest.whole - first.whole) / put)) if put else 0.0,
        growth=max(0.0, growth_of(days)) * ratio,
        server=float(server),
    )


def at_pace(seen: Measured, share: float) -> Measured:
    """As if it grew and changed by such a share of what was measured. What changes whole, does."""
    changes_whole = seen.change >= seen.whole
    change = seen.change if changes_whole else min(seen.whole, seen.change * share)
    return replace(seen, growth=seen.growth * share, change=change)


def _days(at: Instant, since: Instant) -> float:
    return (at - since).total("seconds") / _SECONDS_A_DAY


@dataclass(frozen=True, slots=True)
class _Put:
    """A backup: until when it is kept, where it lies, what its point holds by then, and alone."""

    ends: Instant
    generation: str
    holds: float
    alone: float
    tag: str


def stored_by_tag(
    seen: Measured, ahead: Preview, moments: Iterable[Instant]
) -> list[dict[str, float]]:
    """Bytes of points at each moment by the tag that they are kept for, if every backup goes well
    and nothing else comes between.

    NEWEST: what the newest point holds together with others. A generation before that one is kept
    for the tag whose point in it stays longest.
    """
    there = len(seen.points)
    puts, times = _puts(seen, ahead), [fire.at for fire in ahead.fires]
    return [_stored(puts[: there + bisect_right(times, at)], at) for at in moments]


def _puts(seen: Measured, ahead: Preview) -> list[_Put]:
    alone = seen.change * (1.0 - seen.held)
    found = [
        _Put(point.ends, point.generation, point.whole, 0.0 if point.is_full else alone, point.tag)
        for point in seen.points
    ]
    for number, fire in enumerate(ahead.fires):
        live = seen.whole + seen.growth * _days(fire.at, ahead.start)
        last, ends, tag = found[-1] if found else None, fire.verdict.expires_at, fire.verdict.tag
        if last is None or seen.change >= live or live < LEAST_LIVE * last.holds:
            found.append(_Put(ends, f"ahead {number}", live, 0.0, tag))
        else:
            holds = last.holds + seen.change * seen.held
            found.append(_Put(ends, last.generation, holds, alone, tag))
    return found


def _stored(puts: list[_Put], at: Instant) -> dict[str, float]:
    """The newest is kept whatever its time."""
    kept = [put for put in puts[:-1] if put.ends > at] + puts[-1:]
    longest: dict[str, _Put] = {}
    found: dict[str, float] = {}
    for put in kept:
        found[put.tag] = found.get(put.tag, 0.0) + put.alone
        if put.generation not in longest or put.ends > longest[put.generation].ends:
            longest[put.generation] = put
    holds = {put.generation: put.holds for put in kept}  # of each the newest
    for generation, held in holds.items():
        tag = NEWEST if generation == kept[-1].generation else longest[generation].tag
        found[tag] = found.get(tag, 0.0) + held
    return found


def units_ahead(sheet: PriceSheet, seen: Measured, days: float) -> float:
    """A month's units, so many days from now, of a server that has grown until then."""
    ratio = seen.server / seen.whole if seen.whole else 0.0
    return units_of(round(seen.server + seen.growth * ratio * days)) * sheet.unit
