"""The backups of the next day, those of one minute together."""

from collections.abc import Iterable
from dataclasses import dataclass

from whenever import Instant

from strongroom.control.fleet import Ship

HOURS = 24
MOST = 8  # lines
NAMED = 3


@dataclass(frozen=True, slots=True)
class Due:
    """What begins at one time. names: the first of them; more: how many others."""

    at: Instant
    count: int
    names: tuple[str, ...]
    more: int


def due_of(ships: Iterable[Ship], now: Instant) -> tuple[list[Due], int]:
    """(the first lines, how many backups of the day come after them); what is late is first."""
    end, found = now.add(hours=HOURS), dict[Instant, list[str]]()
    for ship in ships:
        if ship.next_at is not None and ship.next_at < end:
            minute = ship.next_at.timestamp() // 60 * 60
            found.setdefault(Instant.from_timestamp(minute), []).append(ship.name)
    lines = [
        Due(at, len(names), tuple(names[:NAMED]), max(0, len(names) - NAMED))
        for at, names in sorted(found.items())
    ]
    return lines[:MOST], sum(line.count for line in lines[MOST:])
