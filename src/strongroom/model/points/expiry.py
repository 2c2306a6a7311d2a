"""Which recovery points are over, and why each of them goes or stays: a plan, before any act.

Age alone never takes the last good point: a server that could not be backed up for a month keeps
what it has. A point that is damaged, or that failed its drill, is not good, and takes nobody's
place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.drill import FAILED


@dataclass(frozen=True, slots=True)
class Ending:
    """A point whose time is over at the moment of the plan, and a sentence that says why."""

    point: RecoveryPoint
    goes: bool
    why: str


def plan(
    points: Sequence[RecoveryPoint], now: Instant, *, busy: bool, stays: Mapping[str, str]
) -> list[Ending]:
    """Of all points of one instance, those that are over; the oldest first.

    `busy`: a job of the instance is under way and may lean on any of them. `stays`: point -> why
    something else keeps it (a state, a hold).
    """
    good = [point for point in points if _is_good(point)]
    newest = max(good, key=lambda point: point.taken_at, default=None)
    over = [point for point in points if point.expires_at <= now]
    oldest_first = sorted(over, key=lambda point: point.taken_at)
    return [_ending(each, newest, stays.get(each.id, ""), busy=busy) for each in oldest_first]


def _is_good(point: RecoveryPoint) -> bool:
    drill = point.facts.get("drill") or {}
    return not point.facts.get("damaged") and drill.get("verdict") != FAILED


def _ending(
    point: RecoveryPoint, newest: RecoveryPoint | None, kept: str, *, busy: bool
) -> Ending:
    if kept:
        return Ending(point, goes=False, why=kept)
    if newest is None:
        return Ending(point, goes=False, why="no good point would be left")
    if point.id == newest.id:
        return Ending(point, goes=False, why="it is the last good point")
    if busy:
        return Ending(point, goes=False, why="a job is under way that may need it")
    ended = point.expires_at.format_iso()
    return Ending(point, goes=True, why=f"its time as {point.tag} ended on {ended}")
