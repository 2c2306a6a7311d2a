"""What keeps what points need, at whoever keeps it: I5 lock horizon, and holds."""

import json
from collections.abc import Iterator
from datetime import datetime

from oracle.book import Row
from oracle.look import Look


def lock_horizon(look: Look) -> Iterator[str]:
    """I5: every object that a point names is locked to the point's end; locks never shrink.

    Holds in storage's book are those of the catalogue, and the reverse.
    """
    for container, door in look.doors.items():
        locks = door.locks()
        for name, before in look.memory.locks.get(container, {}).items():
            if name not in locks or locks[name] < before:
                yield f"the lock of {name} ended on {before} and ends earlier now"
        look.memory.locks[container] = locks
    for receipt in look.receipts.values():
        locks = look.memory.locks[receipt.container]
        for name in (*receipt.named(), f"p/{receipt.point}.receipt"):
            until = _until(name, locks)
            if until is None or until < receipt.expires_at:
                yield f"{name} of point {receipt.point} is locked until {until} only"
    if look.book is not None:
        yield from _holds(look, look.book["holds"])


def _holds(look: Look, rows: list[Row]) -> Iterator[str]:
    """What is being set or released may be in one of the two books alone."""
    for container, door in look.doors.items():
        mine = {row["id"]: row for row in rows if row["instance_id"] == container}
        found = door.holds()
        for name, hold in found:
            if hold not in mine:
                yield f"storage holds {name} by {hold}, of which the catalogue knows nothing"
        for row in mine.values():
            for name in json.loads(row["names"]) if row["state"] == "held" else []:
                if (name, row["id"]) not in found:
                    yield f"hold {row['name']} does not hold {name} in storage"


def _until(name: str, locks: dict[str, datetime]) -> datetime | None:
    """The latest of those of the name and of each directory above it."""
    parts = name.split("/")
    names = [name, *("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))]
    return max((locks[each] for each in names if each in locks), default=None)
