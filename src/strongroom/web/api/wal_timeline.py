"""How the log of a backup instance is kept, and what happened when: an extension of ours."""

from typing import Any

import msgspec
from fastapi import APIRouter

from strongroom.control.wal import restorable_ranges, wal_timeline
from strongroom.model import arm
from strongroom.model.errors import Invalid
from strongroom.web.api.door import Asked, Body, Vault, does
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_USUAL_SECONDS = 1800


@router.post(
    VAULT + "/backupInstances/{name}/findSecond", openapi_extra=does(restorable_ranges.FIND)
)
def find_second(name: str, ref: Vault, body: Body, call: Asked) -> dict[str, Any]:
    """`around`, a time, and `seconds` on either side of it; without it, how the stream stands."""
    text = arm.pick_text(body, "around")
    around = arm.read_instant(text, "around") if text else None
    seconds = arm.pick(body, "seconds")
    if seconds is not None and (type(seconds) is not int or seconds <= 0):
        raise Invalid(
            f"seconds is {str(seconds)[:20]!r}", hint="Give a whole number of seconds, from 1 on."
        )
    wide = seconds or _USUAL_SECONDS
    place = None if around is None else (around, wide)
    found = wal_timeline.find_second(call.control, call.caller, ref, name, place)
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told
