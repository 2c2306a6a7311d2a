"""The backups and drills of the next day, those of one kind and minute together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from whenever import Instant

from strongroom.control.overview.drill_rounds import Round
from strongroom.control.overview.fleet import Ship

HOURS = 24
MOST = 8  # lines
NAMED = 3
BACKUP, DRILL = "backup", "drill"


@dataclass(frozen=True, slots=True)
class Due:
    """What begins at one time. kind: backup or drill; names: the first; more: how many others."""

    at: Instant
    kind: str
    count: int
    names: tuple[str, ...]
    more: int


def due_of(ships: Iterable[Ship], drills: Iterable[Round], now: Instant) -> tuple[list[Due], int]:
    """(the first lines, how much of the day comes after them); what is late is first."""
    end, found = now.add(hours=HOURS), dict[tuple[Instant, str], list[str]]()
    for at, kind, name in (*_backups(ships), *_drills(drills, now)):
        if at < end:
            minute = Instant.from_timestamp(at.timestamp() // 60 * 60)
            found.setdefault((minute, kind), []).append(name)
    lines = [
        Due(at, kind, len(names), tuple(names[:NAMED]), max(0, len(names) - NAMED))
        for (at, kind), names in sorted(found.items())
    ]
    return lines[:MOST], sum(line.count for line in lines[MOST:])


def _backups(ships: Iterable[Ship]) -> Iterator[tuple[Instant, str, str]]:
    return ((ship.next_at, BACKUP, ship.name) for ship in ships if ship.next_at is not None)


def _drills(rounds: Iterable[Round], now: Instant) -> Iterator[tuple[Instant, str, str]]:
    """One that is due by now begins as soon as its instance has no other job under way."""
    return ((each.next_at or now, DRILL, each.ship.name) for each in rounds)
