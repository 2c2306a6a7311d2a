"""Reports: as a page that prints, as CSV, as JSON."""

import csv
import io
import json

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control import reports
from strongroom.web.portal import render
from strongroom.web.portal.door import Guest, PortalRoute, Visit
from strongroom.web.portal.sheets import safe_row

router = APIRouter(include_in_schema=False, route_class=PortalRoute)


@router.get("/reports")
def report(visit: Guest) -> Response:
    """What lacks a point, what failed, what was proved."""
    lines = reports.make_report(visit.control, visit.caller)
    return visit.page("reports.html", lines=lines, days=reports.DAYS)


@router.get("/reports.json")
def as_json(visit: Guest) -> Response:
    """One object an instance."""
    lines = reports.make_report(visit.control, visit.caller)
    told = {
        "installation": visit.control.installation.tenant_id,
        "at": visit.now.format_iso(),
        "days": reports.DAYS,
        "instances": [line.to_dict() for line in lines],
    }
    return _file(json.dumps(told, indent=1) + "\n", "application/json", _name(visit, "json"))


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
