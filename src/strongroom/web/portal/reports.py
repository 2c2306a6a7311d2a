"""Reports: as a page that prints, as CSV, as JSON."""

import csv
import io
import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from whenever import Instant

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import approvals, audit
from strongroom.control.overview import reports
from strongroom.model.resources.guard import OPERATIONS
from strongroom.web.portal import render
from strongroom.web.portal.door import Guest, PortalRoute, Visit
from strongroom.web.portal.sheets import safe_row

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


@router.get("/reports")
def report(visit: Guest) -> Response:
    """What lacks a point, what failed, what was proved."""
    decided = _approvals(visit)
    people = {each["asked_by"] for each in decided} | {each["decided_by"] for each in decided}
    return visit.page(
        "reports.html",
        lines=reports.make_report(visit.control, visit.caller),
        days=reports.DAYS,
        since=_since(visit),
        head=audit.see_head(visit.control, visit.caller),
        approvals=decided,
        names=names_of(visit.control, people - {None}),
        words={each.name: each.words for each in OPERATIONS},
    )


def _since(visit: Visit) -> Instant:
    return visit.now.subtract(hours=24 * reports.DAYS)


def _approvals(visit: Visit) -> list[dict[str, Any]]:
    """What was asked of a second person in these days, and what was said: the newest first."""
    found = approvals.list_approvals(visit.control, visit.caller)
    return [
        {**row, "state": approvals.state_of(visit.control, row)}
        for row, _ in found
        if row["asked_at"] >= _since(visit)
    ]


@router.get("/reports.json")
def as_json(visit: Guest) -> Response:
    """One object an instance."""
    lines = reports.make_report(visit.control, visit.caller)
    head = audit.see_head(visit.control, visit.caller)
    told = {
        "installation": visit.control.installation.tenant_id,
        "at": visit.now.format_iso(),
        "madeBy": visit.session.name,
        "days": reports.DAYS,
        "audit": None if head is None else {"record": head[0], "blake3": head[1]},
        "secondPersons": [_told(each) for each in _approvals(visit)],
        "instances": [line.to_dict() for line in lines],
    }
    return _file(json.dumps(told, indent=1) + "\n", "application/json", _name(visit, "json"))


def _told(row: dict[str, Any]) -> dict[str, str | None]:
    decided = row["decided_at"]
    return {
        "operation": row["operation"],
        "scope": row["scope"],
        "state": row["state"],
        "askedBy": row["asked_by"],
        "askedAt": row["asked_at"].format_iso(),
        "decidedBy": row["decided_by"],
        "decidedAt": None if decided is None else decided.format_iso(),
    }


@router.get("/reports.csv")
def as_csv(visit: Guest) -> Response:
    """One line an instance."""
    rows = [line.to_dict() for line in reports.make_report(visit.control, visit.caller)]
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(rows[0] if rows else ["instance"])
    for row in rows:
        told = (" ".join(v) if isinstance(v, list) else v for v in row.values())
        lines.writerow(safe_row(told))
    return _file(text.getvalue(), "text/csv", _name(visit, "csv"))


def _name(visit: Visit, kind: str) -> str:
    """With its day: whoever keeps evidence keeps many of them."""
    return f"report-{visit.now.format_iso()[:10]}.{kind}"


def _file(text: str, kind: str, name: str) -> Response:
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, headers={**render.HEADERS, **named}, media_type=kind)
