"""What of a page is made anew when something has changed: written then alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whenever import Instant

from strongroom.web.portal import alerts, approvals, drills, overview, render
from strongroom.web.portal.door import Visit

_OLD_SECONDS = 60.0  # ages on the page are told in minutes
_OVERVIEW = ("wall", "due", "instances")
_TEMPLATES = {"wall": "wall.html", "due": "due.html", "instances": "first.html"}
_PAGES: dict[str, Callable[[Visit], dict[str, Any]]] = {
    "alerts": alerts.facts_of,
    "approvals": approvals.facts_of,
    "drills": drills.facts_of,
}


@dataclass(slots=True)
class Memory:
    """What one stream has seen of the instances and counts when it wrote its page's parts last."""

    key: object = None
    at: Instant | None = None


def live_parts(fresh: Visit, page: str, memory: Memory) -> dict[str, str]:
    """The parts of a page by their ids; empty while nothing has changed."""
    if page not in _PAGES and (page != "overview" or not fresh.fleet.ships):
        return {}
    key, before = _key(fresh), memory.at
    if before is None:  # the page itself was written a moment ago
        memory.key, memory.at = key, fresh.now
        return {}
    if key == memory.key and (fresh.now - before).total("seconds") < _OLD_SECONDS:
        return {}
    memory.key, memory.at = key, fresh.now
    told = {"visit": fresh, "now": fresh.now, "zone": fresh.zone}
    if page in _PAGES:
        return {"live": render.text_of(f"{page}_live.html", told | _PAGES[page](fresh))}
    told |= overview.facts_of(fresh)
    return {name: render.text_of(_TEMPLATES[name], told) for name in _OVERVIEW}


def _key(fresh: Visit) -> object:
    """Another one when anything that such a page tells is another: no query of its own."""
    ships = [
        (s.id, s.state, s.protection, s.proof, s.points, s.newest_at, s.drilled_at, s.next_at)
        for s in fresh.fleet.ships
    ]
    return hash((tuple(ships), tuple(sorted(fresh.counts.items()))))
