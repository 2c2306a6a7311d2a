"""What needs somebody, and the one thing that is offered to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strongroom.control.oversight import approvals
from strongroom.control.overview import alerts
from strongroom.control.overview.fleet import Ship
from strongroom.control.overview.offers import offers
from strongroom.control.points import backups, drills
from strongroom.control.protection import protecting
from strongroom.model.oversight.alert import LOOKS
from strongroom.model.protection.protection_state import ABLE
from strongroom.model.resources.guard import OPERATIONS
from strongroom.model.work.job import Job, JobKind
from strongroom.web.portal.door import Visit
from strongroom.web.portal.job_rows import again_of_backup
from strongroom.web.portal.places import instance_path, instance_scope, job_path

SHOWN = 8  # instances
_NEEDY = frozenset({"bad", "risk"})
_ACTS = {"backup": backups.ACTION, "drill": drills.ACTION}


@dataclass(frozen=True, slots=True)
class Act:
    """A button: `fields` of the form that it posts, or None where it is a link."""

    words: str
    path: str
    fields: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Needy:
    """An instance, and what to do about it."""

    ship: Ship
    act: Act


def needs_of(visit: Visit, running: Sequence[Job]) -> dict[str, Any]:
    """As needs.html takes it: instances, servers, alerts, and requests that wait."""
    needy = [ship for ship in visit.fleet.ships if ship.look in _NEEDY]
    found, order = alerts.open_elsewhere(visit.control, visit.caller, visit.fleet), list(LOOKS)
    asked = []
    if visit.counts["/approvals"]:
        asked = approvals.list_approvals(visit.control, visit.caller)
    return {
        "needy": [Needy(ship, _act(visit, ship, running)) for ship in needy[:SHOWN]],
        "needy_count": len(needy),
        "servers": protecting.candidates(visit.control, visit.caller),
        "elsewhere": sorted(found, key=lambda alert: order.index(alert.severity)),
        "looks_of": LOOKS,
        "waiting": [
            row for row, _ in asked if approvals.state_of(visit.control, row) == "Waiting"
        ],
        "words": {each.name: each.words for each in OPERATIONS},
    }


def _act(visit: Visit, ship: Ship, running: Sequence[Job]) -> Act:
    """To watch what is done already, or to have it done, or to look."""
    home = instance_path(ship.vault, ship.name)
    behind = ship.protection in {"bad", "late"}
    wanted = JobKind.BACKUP if behind else JobKind.DRILL
    for job in running:
        if job.instance_id == ship.id and job.kind is wanted:
            return Act("Watch", job_path(ship.vault, job.id))
    scope = instance_scope(visit.control.installation.subscription_id, ship.vault, ship.name)
    may = offers(visit.control, visit.caller, scope, _ACTS)
    if behind and may["backup"] and ship.state in ABLE:
        return _backup(home, ship)
    if not behind and ship.protection != "paused" and may["drill"] and ship.points:
        return Act("Drill now", f"{home}/drill", {})
    return Act("Look", home)


def _backup(home: str, ship: Ship) -> Act:
    if ship.failed is None:
        return Act("Back up now", f"{home}/backup", {})
    asked = ship.failed["order"] or {}
    again = again_of_backup(home, ship.failed["rule_name"], asked)
    return Act("Try again", again.path, again.fields)
