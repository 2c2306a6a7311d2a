"""How far back and ahead the points of instances reach, and what they store."""

from collections.abc import Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.catalog.points import footprints as catalog
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship

_YEARS = 10  # no point is kept longer


@dataclass(frozen=True, slots=True)
class Footprint:
    """From the oldest point to when the last expires; stored bytes. None, 0: there are none."""

    first: Instant | None
    last: Instant | None
    stored: int


@dataclass(frozen=True, slots=True)
class Left:
    """At a moment, had no backup been taken since: points in their time, instances with one."""

    at: Instant
    points: int
    instances: int


def left_without_backups(control: Control, ships: Sequence[Ship]) -> list[Left]:
    """Now, and each year from now until none is left; whoever asks has seen those ships.

    Of each instance the last good point stays beside these, however old it is.
    """
    today = control.clock.now().to_tz("UTC")
    moments = [today.add(years=year).to_instant() for year in range(_YEARS + 1)]
    with control.database.reading() as connection:
        counted = catalog.left_at(connection, [ship.id for ship in ships], moments)
    found = [Left(at, *each) for at, each in zip(moments, counted, strict=True)]
    ends = next((number for number, each in enumerate(found) if not each.points), len(found))
    return found[: ends + 1] if ends else []


def footprints_of(control: Control, ships: Sequence[Ship]) -> dict[str, Footprint]:
    """Instance -> its own, of the `ships` of one page; whoever asks has seen those."""
    ids = [ship.id for ship in ships]
    with control.database.reading() as connection:
        ends, stored = catalog.last_expiries(connection, ids), catalog.stored(connection, ids)
    return {
        ship.id: Footprint(ship.oldest_at, ends.get(ship.id), stored.get(ship.id, 0))
        for ship in ships
    }
