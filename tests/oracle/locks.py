"""Until when what points need is kept by whoever keeps it: I5 lock horizon."""

from collections.abc import Iterator
from datetime import datetime

from oracle.look import Look


def lock_horizon(look: Look) -> Iterator[str]:
    """I5: every object that a point names is locked to the point's end; locks never shrink."""
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


def _until(name: str, locks: dict[str, datetime]) -> datetime | None:
    """The latest of those of the name and of each directory above it."""
    parts = name.split("/")
    names = [name, *("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))]
    return max((locks[each] for each in names if each in locks), default=None)
