"""The audit trail: who did what, and whether the chain is whole."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import audit
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
PAGE = 100


@router.get("/audit")
def records(visit: Guest, before: Annotated[int, Query(ge=0, le=1 << 40)] = 0) -> Response:
    """The newest first."""
    return _page(visit, before, None)


@router.post("/audit/verify")
def verify(visit: Guest, form: Sent) -> Response:
    """Links, digests, signatures, anchors of the last stretch."""
    del form
    head = audit.last_record(visit.control, visit.caller)
    verdict = audit.verify_audit(visit.control, visit.caller, max(0, head - audit.STRETCH))
    return _page(visit, 0, verdict)


def _page(visit: Visit, before: int, verdict: audit.Verdict | None) -> Response:
    head = audit.last_record(visit.control, visit.caller)
    last = min(before - 1, head) if before else head
    found = audit.list_records(visit.control, visit.caller, max(0, last - PAGE))
    shown = [record for record in found if record.sequence <= last][::-1]
    people = names_of(visit.control, {record.actor for record in shown})
    return visit.page(
        "audit.html",
        records=shown,
        head=head,
        names=people,
        verdict=verdict,
        more=shown[-1].sequence if shown and shown[-1].sequence > 1 else 0,
    )
