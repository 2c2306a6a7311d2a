"""How far back and ahead the points of instances reach, and what they store."""

from collections.abc import Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.catalog import footprints as catalog
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship


@dataclass(frozen=True, slots=True)
class Footprint:
    """From the oldest point to when the last expires; stored bytes. None, 0: there are none."""

    first: Instant | None
    last: Instant | None
    stored: int


def footprints_of(control: Control, ships: Sequence[Ship]) -> dict[str, Footprint]:
    """Instance -> its own, of the `ships` of one page; whoever asks has seen those."""
    ids = [ship.id for ship in ships]
    with control.database.reading() as connection:
        ends, stored = catalog.last_expiries(connection, ids), catalog.stored(connection, ids)
    return {
        ship.id: Footprint(ship.oldest_at, ends.get(ship.id), stored.get(ship.id, 0))
        for ship in ships
    }
