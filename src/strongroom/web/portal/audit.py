"""The audit trail: who did what, and whether the chain is whole; all of it, or what is wanted."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import audit
from strongroom.model.errors import Invalid
from strongroom.model.oversight.audit import Record
from strongroom.model.oversight.audit_filter import OUTCOMES, AuditFilter, outcome_of, read_filter
from strongroom.web.portal import render
from strongroom.web.portal.audit_words import told_of
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit
from strongroom.web.portal.sheets import safe_row

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
PAGE = 100
MOST = 10_000  # records of a file
_FIELDS = ("who", "what", "scope", "since", "until", "outcome")
_COLUMNS = ("sequence", "at", "who", "actor", "address", "action", "target", "outcome")
_Before = Annotated[int, Query(ge=0, le=1 << 40)]


@router.get("/audit")
def records(visit: Guest, before: _Before = 0) -> Response:
    """The newest first; what is wanted of them stands in the address."""
    try:
        return _page(visit, before, _wanted(visit))
    except Invalid as error:
        return _page(visit, 0, None, error=error)


@router.post("/audit/verify")
def verify(visit: Guest, form: Sent) -> Response:
    """Links, digests, signatures, anchors of the last stretch."""
    del form
    head = audit.last_record(visit.control, visit.caller)
    verdict = audit.verify_audit(visit.control, visit.caller, max(0, head - audit.STRETCH))
    return _page(visit, 0, AuditFilter(), verdict)


@router.get("/audit.json")
def as_json(visit: Guest) -> Response:
    """What is wanted, with what is needed to check each record again."""
    found = _all(visit)
    names = names_of(visit.control, {record.actor for record in found})
    told = {
        "installation": visit.control.installation.tenant_id,
        "at": visit.now.format_iso(),
        "madeBy": visit.session.name,
        "wanted": _asked(visit),
        "whole": len(found) < MOST,
        "records": [
            {**each.to_dict(), "who": names[each.actor], "outcome": outcome_of(each.action)}
            for each in found
        ],
    }
    return _file(visit, json.dumps(told, indent=1) + "\n", "json", "application/json")


@router.get("/audit.csv")
def as_csv(visit: Guest) -> Response:
    """The same, a line a record."""
    found = _all(visit)
    names = names_of(visit.control, {record.actor for record in found})
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow((*_COLUMNS, "detail", "before", "after"))
    for each in found:
        row = [each.sequence, each.at.format_iso(), names[each.actor], each.actor, each.address]
        row += [each.action, each.target, outcome_of(each.action)]
        states = (each.detail, each.before, each.after)
        row += [json.dumps(told) if told else "" for told in states]
        lines.writerow(safe_row(row))
    return _file(visit, text.getvalue(), "csv", "text/csv")


def _asked(visit: Visit) -> dict[str, str]:
    """The fields of the address that are filled in."""
    told = visit.request.query_params
    return {name: told[name].strip() for name in _FIELDS if told.get(name, "").strip()}


def _wanted(visit: Visit) -> AuditFilter:
    return read_filter(_asked(visit), visit.zone)


def _all(visit: Visit) -> Sequence[Record]:
    """The newest of what is wanted: as many as a file takes."""
    return audit.newest_records(visit.control, visit.caller, 0, _wanted(visit), MOST)


def _page(
    visit: Visit,
    before: int,
    wanted: AuditFilter | None,
    verdict: audit.Verdict | None = None,
    error: Invalid | None = None,
) -> Response:
    head, found = audit.last_record(visit.control, visit.caller), list[Record]()
    if wanted is not None:
        found = audit.newest_records(visit.control, visit.caller, before, wanted, PAGE + 1)
    shown = found[:PAGE]
    asked = _asked(visit)
    return visit.page(
        "audit.html",
        200 if error is None else 400,
        told=told_of(visit, shown),
        head=head,
        verdict=verdict,
        error=error,
        asked=asked,
        query=urlencode(asked),
        outcomes=OUTCOMES,
        more=shown[-1].sequence if len(found) > PAGE else 0,
        most=MOST,
    )


def _file(visit: Visit, text: str, kind: str, media: str) -> Response:
    name = f"audit-{visit.now.format_iso()[:10]}.{kind}"
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, headers={**render.HEADERS, **named}, media_type=media)
