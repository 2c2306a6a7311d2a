"""Collect the garbage of a backup instance: ours, not Azure's."""

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.points import garbage
from strongroom.model import arm
from strongroom.web.api.door import Asked, Body, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.vaults import VAULT

router = APIRouter()


@router.post(VAULT + "/backupInstances/{name}/collectGarbage", openapi_extra=does(garbage.ACTION))
def collect_garbage(name: str, ref: Vault, body: Body, call: Asked) -> Response:
    """A pass over its container; `dryRun` only counts, `graceDays` is how long garbage waits."""
    days = arm.pick(body, "graceDays")
    operation = garbage.trigger_collection(
        call.control,
        call.caller,
        ref,
        name,
        grace_days=garbage.GRACE_DAYS if days is None else _number(days),
        dry_run=arm.pick(body, "dryRun") is True,
        request_key=call.key,
    )
    return accepted(call.control, call.base, operation, call.version)


def _number(days: object) -> float:
    if isinstance(days, bool) or not isinstance(days, int | float):
        raise arm.invalid("graceDays is not a number", "write it as 7")
    return float(days)
