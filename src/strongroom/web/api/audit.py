"""The audit of the installation: its records, and whether they are whole."""

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query

from strongroom.control.oversight import audit
from strongroom.web.api.door import Asked, Here, does

router = APIRouter()
_RECORDS = "/subscriptions/{subscription_id}/providers/Microsoft.DataProtection/auditRecords"
_After = Annotated[int, Query(alias="$skipToken", ge=0, le=1 << 40)]


@router.get(_RECORDS, openapi_extra=does(audit.READ))
def list_records(here: Here, call: Asked, after: _After = 0) -> dict[str, Any]:
    """The audit's records in their order, each with what is needed to check it again."""
    found = audit.list_records(call.control, call.caller, after)
    answer: dict[str, Any] = {"value": [record.to_dict() for record in found]}
    if len(found) == audit.PAGE:
        asked = urlencode({"api-version": call.version, "$skipToken": found[-1].sequence})
        place = _RECORDS.replace("{subscription_id}", here)
        answer["nextLink"] = f"{call.base}{place}?{asked}"
    return answer


@router.post(_RECORDS + "/verify", openapi_extra=does(audit.READ))
def verify_records(here: Here, call: Asked, after: _After = 0) -> dict[str, Any]:
    """Links, digests, signatures and anchors of a stretch; `next` says where the next begins."""
    del here
    found: dict[str, Any] = msgspec.to_builtins(
        audit.verify_audit(call.control, call.caller, after)
    )
    return found
