"""The inbox of whoever must approve, and what has become of one's own requests."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import approvals
from strongroom.model.identities.access import MUA_OPERATOR
from strongroom.model.resources.guard import GRANT_HOURS, OPERATIONS
from strongroom.web.portal.door import Guest, PortalRoute, Sent, Visit

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_WORDS = {each.name: each.words for each in OPERATIONS}


@router.get("/approvals")
def inbox(visit: Guest) -> Response:
    """What waits comes first; what is exactly asked stands beside it."""
    return visit.page("approvals.html", **facts_of(visit))


def facts_of(visit: Visit) -> dict[str, Any]:
    """As approvals_live.html takes it."""
    told = approvals.list_approvals(visit.control, visit.caller)
    found = [(row, place, approvals.state_of(visit.control, row)) for row, place in told]
    waiting = [each for each in found if each[2] == "Waiting"]
    people = {row["asked_by"] for row, _, _ in found} | {row["decided_by"] for row, _, _ in found}
    return {
        "waiting": waiting,
        "mine": approvals.may_decide(visit.control, visit.caller, [each[:2] for each in waiting]),
        "approver": MUA_OPERATOR.name,
        "others": [each for each in found if each[2] != "Waiting"][:100],
        "names": names_of(visit.control, people - {None}),
        "hours": GRANT_HOURS,
        "words": _WORDS,
    }


@router.post("/approvals/{approval}")
def decide(approval: str, visit: Guest, form: Sent) -> Response:
    """Let it through, or say no. Never one's own request: that is refused, and written down."""
    if form.text("verdict") == "grant":
        approvals.grant_approval(visit.control, visit.caller, approval, None)
    else:
        approvals.deny_approval(visit.control, visit.caller, approval)
    return visit.go("/approvals")
