"""What can be reached from a recovery point through the log that is kept.

A path is a timeline with its ancestors, each up to where it was left. From a point that lies on
it one goes on as long as the log has no hole; nothing is ever offered across one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import wal
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import lsn_from_text
from strongroom.model.work.logical import LOGICAL

_FORK = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)", re.M)
_ENDLESS = 1 << 63

Stretch = tuple[int, int, int]  # timeline, from, to


@dataclass(frozen=True, slots=True)
class Path:
    """(timeline, where it is left) from the oldest to the one that is meant."""

    line: tuple[tuple[int, int], ...]

    @property
    def timeline(self) -> int:
        """The one that is meant."""
        return self.line[-1][0]

    def left(self, timeline: int) -> int | None:
        """Where one is left; None for one that is no ancestor."""
        return dict(self.line).get(timeline)


@dataclass(frozen=True, slots=True)
class Reach:
    """From one point, without a hole: stretches in order, the last ends where the log does."""

    point: RecoveryPoint
    stop: int  # where the point itself ends
    stretches: tuple[Stretch, ...]

    @property
    def end(self) -> int:
        """Where the log ends."""
        return self.stretches[-1][2]


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of one system's log, and the points that it may go on from."""

    instance_id: str
    system: str
    segment_size: int
    ranges: dict[int, list[tuple[int, int]]]
    histories: dict[int, str]
    points: tuple[RecoveryPoint, ...]  # newest first
    cuts: frozenset[tuple[int, int]] = frozenset()  # (timeline, where) nothing recovers through

    def path(self, timeline: int = 0) -> Path | None:
        """To a timeline, or to the newest of which anything is kept; None without any log."""
        if not self.ranges or (timeline and timeline not in self.ranges):
            return None
        meant = timeline or max(self.ranges)
        forks = forks_of(self.histories.get(meant, ""))
        return Path((*forks, (meant, _ENDLESS)))

    def reaches(self, path: Path) -> list[Reach]:
        """From each point that lies on the path and is joined by log, the newest point first."""
        found = (self._reach(point, path) for point in self.points)
        return [reach for reach in found if reach is not None]

    def _reach(self, point: RecoveryPoint, path: Path) -> Reach | None:
        at, stop = end_of(point)
        left = path.left(at)
        if left is None or stop > left:
            return None
        stretches: list[Stretch] = []
        begun, position = False, stop
        for timeline, end in path.line:
            if timeline != at and not begun:
                continue
            begun = True
            start = position - position % self.segment_size
            reached = self._covered(timeline, start, position)
            if reached is None or min(reached, end) < position:
                break
            stretches.append((timeline, start, min(reached, end)))
            if reached < end:
                break
            position = end
        return Reach(point, stop, tuple(stretches)) if stretches else None

    def _covered(self, timeline: int, start: int, position: int) -> int | None:
        """Where the log that holds `start` ends, behind `position`; None when none does."""
        for first, last in self.ranges.get(timeline, []):
            if first <= start < last:
                cuts = (at for on, at in self.cuts if on == timeline and position < at < last)
                return min(cuts, default=last)
        return None


def end_of(point: RecoveryPoint) -> tuple[int, int]:
    """Where a physical point ends: (timeline, position)."""
    return int(point.facts["timeline"]), int(lsn_from_text(str(point.facts["stop_lsn"])))


def forks_of(history: str) -> list[tuple[int, int]]:
    """A timeline's history: (ancestor, where it was left), the oldest first."""
    return [(int(each), int(lsn_from_text(lsn))) for each, lsn in _FORK.findall(history)]


def kept_of(connection: sa.Connection, found: Protection) -> Kept | None:
    """Of the system that streams, or did last. None when no log was ever kept."""
    return next(iter(every_kept(connection, found)), None)


def every_kept(
    connection: sa.Connection, found: Protection, points: Sequence[RecoveryPoint] | None = None
) -> list[Kept]:
    """Of the system that streams, or did last, and of those that it took the place of.

    A server that was upgraded is another system: its old log leads to old moments all the same.
    `points`: those of the instance, where they are looked up already.
    """
    stream = wal.stream_of(connection, found.instance_id)
    if stream is None or not stream["timeline"]:
        return []
    newest = str(stream["system_identifier"])
    systems = wal.systems_of(connection, found.instance_id)
    if points is None:
        points = recovery_points.list_of_instance(connection, found.instance_id)
    cuts = frozenset(
        (row["timeline"], row["start_lsn"])
        for row in wal.gaps_of(connection, found.instance_id)
        if row["end_lsn"] == row["start_lsn"]
    )
    return [
        Kept(
            instance_id=found.instance_id,
            system=system,
            segment_size=wal.segment_size_of(stream, system),
            ranges=wal.ranges_of(connection, found.instance_id, system),
            histories=wal.histories_of(connection, found.instance_id, system),
            cuts=cuts,
            points=tuple(
                point
                for point in points
                if point.kind != LOGICAL and str(point.facts.get("system_identifier")) == system
            ),
        )
        for system in [newest, *(each for each in systems if each != newest)]
    ]
