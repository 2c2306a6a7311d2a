"""What drills say of a server's points, and what holds their expiry, in words for people."""

from collections.abc import Iterator
from typing import Any

from strongroom.cli.basis.rest import short_time
from strongroom.model.work.drill import FAILED


def state(ours: dict[str, Any]) -> dict[str, Any]:
    """Of an instance's `strongroom` properties, for programs."""
    return {name: ours[name] for name in ("lastDrill", "drillLate", "expiryHeld")}


def troubles(name: str, ours: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(fact, next step) of each thing that is wrong."""
    last, held = ours["lastDrill"], ours["expiryHeld"]
    if last and last["verdict"] == FAILED:
        at = short_time(last["at"])
        yield (
            f"the last drill of {name} failed, {at} UTC",
            f"strongroom drill show {name}; then take another backup and drill it",
        )
    if ours["drillLate"]:
        at = f"the last one was {short_time(last['at'])[:10]}" if last else "there was none"
        yield (
            f"a drill of {name} is late: {at}",
            f"strongroom drill {name} --wait; `strongroom jobs` shows why none came to a verdict",
        )
    if held:
        yield (
            f"{name} is ExpiryHeld since {short_time(held['since'])[:10]}: {held['why']}",
            f"strongroom drill {name} --wait drills the newest point; if all is as it should be: "
            f"strongroom expiry release {name}",
        )
