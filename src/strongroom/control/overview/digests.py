"""The daily digest, made for the service itself: of everything there is."""

import math

from strongroom.catalog.oversight import alerts as alert_rows
from strongroom.catalog.oversight import digests as catalog
from strongroom.control.basis.control import Control
from strongroom.control.overview import fleet, horizons
from strongroom.model.oversight.alert import LOOKS, PURGE_HOURS
from strongroom.model.oversight.digest import Digest

_HOURS = 24


def make_digest(control: Control) -> Digest:
    """As it is now."""
    whole, sky = fleet.whole_fleet(control), horizons.look_outside(control)
    now, order = whole.at, list(LOOKS)
    with control.database.reading() as connection:
        failed = catalog.failed_jobs(connection, now.subtract(hours=_HOURS))
        points, stored = catalog.points_since(connection, now.subtract(hours=_HOURS))
        due, ending, waiting = catalog.coming(connection, now, now.add(hours=_HOURS))
        purges = alert_rows.coming_purges(connection, now.add(hours=PURGE_HOURS))
        there = alert_rows.open_ones(connection)
        growth = horizons.growth(connection, now)
    left = None if sky.room is None else sky.room.days_left(growth)
    return Digest(
        at=now,
        protection=dict(whole.protections()),
        unprotected=[
            f"{ship.name}: {(ship.failed or {}).get('error', {}).get('message', ship.protection)}"
            for ship in whole.ships
            if ship.protection in {"late", "bad"}
        ],
        proved=whole.proofs()["ok"],
        instances=len(whole.ships),
        points=points,
        stored_bytes=stored,
        failed=[f"{kind} of {name}: {why}" for kind, name, why in failed],
        alerts=[a.title for a in sorted(there, key=lambda a: order.index(a.severity))],
        backups_due=due,
        points_ending=ending,
        purges=[row["name"] for row in purges],
        approvals=waiting,
        headroom_bytes=None if sky.room is None else sky.room.headroom,
        days_until_full=left if left is not None and math.isfinite(left) else None,
    )


def take_digest(control: Control, day: str) -> str | None:
    """Take the digest of a day; what to give back should it not be told. None: it is taken."""
    with control.database.reading() as connection:
        if catalog.is_told(connection, day):
            return None
    with control.database.writing() as connection:
        return catalog.claim(connection, day)


def give_digest_back(control: Control, before: str) -> None:
    """Nobody was told: it is still to come."""
    with control.database.writing() as connection:
        catalog.give_back(connection, before)
