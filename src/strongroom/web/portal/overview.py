"""The first page: two answers, and what needs somebody."""

from collections import Counter
from functools import lru_cache
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Date, Instant, Time

from strongroom.control.overview import drill_rounds
from strongroom.control.overview.footprints import footprints_of
from strongroom.control.overview.reaches import reaches_of
from strongroom.control.work import rounds
from strongroom.model.points.preview import preview
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.web.portal import job_rows, words
from strongroom.web.portal.band import Band, Span, band_of_spans
from strongroom.web.portal.door import Guest, PortalRoute, Visit
from strongroom.web.portal.due import due_of
from strongroom.web.portal.needs import needs_of
from strongroom.web.portal.reach import axis_of

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
MOST_BOXES = 200  # more are no picture any more: then only those that need somebody
FIRST = 12
YEARS = 10
_ORDER = ("bad", "risk", "paused", "wait", "unknown", "ok")


@router.get("/")
def overview(visit: Guest) -> Response:
    """Is everything protected? Would it restore?"""
    running = rounds.running_jobs(visit.control, visit.caller)
    return visit.page(
        "overview.html",
        running=job_rows.under_way(visit, running),
        promise=None if visit.fleet.ships or visit.fleet.is_blind else _promise(visit),
        **facts_of(visit),
        **needs_of(visit, running),
    )


def facts_of(visit: Visit) -> dict[str, Any]:
    """As wall.html, due.html and first.html take it."""
    ships = sorted(visit.fleet.ships, key=lambda ship: _ORDER.index(ship.look))
    boxes = [ship for ship in ships if len(ships) <= MOST_BOXES or ship.look != "ok"]
    drills = drill_rounds.rounds_by_policy(visit.control, visit.caller, visit.fleet)
    due, due_later = due_of(ships, drills, visit.now)
    footprints = footprints_of(visit.control, ships[:FIRST])
    return {
        "first": ships[:FIRST],
        "footprints": footprints,
        "axis": axis_of(footprints.values(), visit.now),
        "reaches": reaches_of(visit.control, ships[:FIRST]),
        "due": due,
        "due_later": due_later,
        "rest": len(ships) - min(len(ships), FIRST),
        "boxes": boxes[:MOST_BOXES],
        "looks": Counter(ship.look for ship in ships),
    }


def _promise(visit: Visit) -> tuple[Band | None, str]:
    """What `ten-years` will have kept after ten years, and the year of that."""
    today = visit.now.to_tz("UTC").date().format_iso()
    spans, until = _kept_after_years(today)
    return band_of_spans(spans, until, visit.zone), words.year(until, visit.zone)


@lru_cache(maxsize=1)
def _kept_after_years(day: str) -> tuple[list[Span], Instant]:
    """Thousands of backups are looked ahead for it: once a day."""
    start = Date.parse_iso(day).at(Time(0)).assume_utc()
    ahead = preview(parse_policy(ten_years_policy()), start, YEARS)
    kept = [each.fire for each in ahead.at(ahead.until)]
    spans = [(fire.at, fire.verdict.expires_at, fire.verdict.tag) for fire in kept]
    return spans, ahead.until
