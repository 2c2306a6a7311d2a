"""The audit of the installation: its records, and whether they are whole."""

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import audit
from strongroom.model.oversight.audit import Record
from strongroom.model.oversight.audit_filter import LONGEST, outcome_of, read_filter
from strongroom.web.api.door import Asked, Here, does

router = APIRouter()
_RECORDS = "/subscriptions/{subscription_id}/providers/Microsoft.DataProtection/auditRecords"
_After = Annotated[int, Query(alias="$skipToken", ge=0, le=1 << 40)]
_Text = Annotated[str, Query(max_length=LONGEST)]
_FIELDS = ("who", "what", "scope", "since", "until", "outcome")


@router.get(_RECORDS, openapi_extra=does(audit.READ))
def list_records(
    here: Here,
    call: Asked,
    after: _After = 0,
    who: _Text = "",
    what: _Text = "",
    scope: _Text = "",
    since: _Text = "",
    until: _Text = "",
    outcome: _Text = "",
    *,
    newest: bool = False,
) -> dict[str, Any]:
    """The audit's records in their order, each with what is needed to check it again.

    Of one who, what, scope or outcome alone, or of a time; `newest=true` begins at the end.
    """
    named = dict(zip(_FIELDS, (who, what, scope, since, until, outcome), strict=True))
    wanted = read_filter(named, "UTC")
    listed = audit.newest_records if newest else audit.list_records
    found = listed(call.control, call.caller, after, wanted)
    names = names_of(call.control, {record.actor for record in found})
    answer: dict[str, Any] = {"value": [_told(record, names[record.actor]) for record in found]}
    if len(found) == audit.PAGE:
        asked = {"api-version": call.version, "$skipToken": found[-1].sequence}
        asked |= {name: value for name, value in named.items() if value}
        asked |= {"newest": "true"} if newest else {}
        place = _RECORDS.replace("{subscription_id}", here)
        answer["nextLink"] = f"{call.base}{place}?{urlencode(asked)}"
    return answer


def _told(record: Record, who: str) -> dict[str, Any]:
    return {**record.to_dict(), "who": who, "outcome": outcome_of(record.action)}


@router.post(_RECORDS + "/verify", openapi_extra=does(audit.READ))
def verify_records(here: Here, call: Asked, after: _After = 0) -> dict[str, Any]:
    """Links, digests, signatures and anchors of a stretch; `next` says where the next begins."""
    del here
    found: dict[str, Any] = msgspec.to_builtins(
        audit.verify_audit(call.control, call.caller, after)
    )
    return found
