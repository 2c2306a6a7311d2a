"""When an instance is drilled, and which of its points: pure decisions.

In each period the newest point is drilled, and one of its elders: the one whose last drill is
longest ago, so that all of them come round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.model.points.recovery_point import RecoveryPoint

NEWEST, ELDER = "newest", "elder"
GRACE_HOURS = 24  # until a drill that is due counts as late
AGAIN_HOURS = 24  # after a drill that could not be done


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last drill by policy of one turn: when it began, and whether it came to a verdict."""

    at: Instant
    decided: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be drilled now."""

    point: RecoveryPoint
    turn: str


def due(
    days: int,
    points: Sequence[RecoveryPoint],
    attempts: Mapping[str, Attempt],
    drilled: Mapping[str, Instant],
    now: Instant,
) -> Turn | None:
    """What a policy of one drill in so many `days` asks for now; 0 days ask for nothing.

    `points`: those that can be restored, the newest first. `attempts`: by turn. `drilled`: by
    point, when it was last drilled, by policy or not.
    """
    if not days or not points:
        return None
    newest, *elders = points
    if _is_due(days, attempts.get(NEWEST), now):
        return Turn(newest, NEWEST)
    if elders and _is_due(days, attempts.get(ELDER), now):
        return Turn(min(elders, key=lambda point: _when(drilled, point)), ELDER)
    return None


def next_at(days: int, attempts: Mapping[str, Attempt], *, elders: bool) -> Instant | None:
    """When the next drill by policy is due; None when it is due already, or never is (0 days).

    `elders`: whether there is any point but the newest.
    """
    turns = (NEWEST, ELDER) if elders else (NEWEST,)
    if not days or any(turn not in attempts for turn in turns):
        return None
    return min(_again_at(days, attempts[turn]) for turn in turns)


def is_late(days: int, oldest: Instant | None, last: Instant | None, now: Instant) -> bool:
    """Whether the last drill that came to a verdict is too long ago, or never was.

    What was never drilled is late when its `oldest` point, by its commit, has waited for so long.
    """
    if not days or oldest is None:
        return False
    since = last or oldest
    return since.add(hours=24 * days + GRACE_HOURS) < now


def _is_due(days: int, last: Attempt | None, now: Instant) -> bool:
    return last is None or _again_at(days, last) <= now


def _again_at(days: int, last: Attempt) -> Instant:
    return last.at.add(hours=24 * days if last.decided else min(24 * days, AGAIN_HOURS))


def _when(drilled: Mapping[str, Instant], point: RecoveryPoint) -> tuple[Instant, Instant]:
    """Never drilled goes first, the oldest of them before the others."""
    return drilled.get(point.id, Instant.MIN), point.taken_at
