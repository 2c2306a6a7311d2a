"""findRestorableTimeRanges of a backup instance."""

from typing import Any

from fastapi import APIRouter
from whenever import Instant

from strongroom.control.resources.given_names import names_of_instance
from strongroom.control.wal import restorable_ranges
from strongroom.control.wal.restorable_ranges import TimeRange
from strongroom.model import arm
from strongroom.model.restore.restore_request import LOG_STORES
from strongroom.web.api.door import Asked, Body, Here, Vault, does
from strongroom.web.api.vaults import VAULT
from strongroom.web.api.wire import instant

router = APIRouter()
_NAME = "findRestorableTimeRanges"
_STORES = (*LOG_STORES, "ArchiveStore")  # the RestoreSourceDataStoreType of Azure's models


@router.post(
    VAULT + "/backupInstances/{name}/findRestorableTimeRanges",
    openapi_extra=does(restorable_ranges.FIND),
)
def find_ranges(name: str, ref: Vault, here: Here, body: Body, call: Asked) -> dict[str, Any]:
    """Between which times every moment can be restored."""
    between = _moment(body, "startTime"), _moment(body, "endTime")
    found = restorable_ranges.find_ranges(call.control, call.caller, ref, name, between)
    if not _holds_log(arm.pick_text(body, "sourceDataStoreType")):
        found = []
    return {
        "id": f"{arm.instance_id_of(here, *names_of_instance(call.control, ref, name))}/{_NAME}",
        "name": _NAME,
        "type": f"Microsoft.DataProtection/backupVaults/backupInstances/{_NAME}",
        "properties": {
            "objectType": "AzureBackupFindRestorableTimeRangesResponse",
            "restorableTimeRanges": [_range(one) for one in found],
        },
    }


def _range(one: TimeRange) -> dict[str, Any]:
    return {
        "objectType": "RestorableTimeRange",
        "startTime": instant(one.start),
        "endTime": instant(one.end),
    }


def _holds_log(store: str) -> bool:
    """Whether there are moments in this store of Azure's; Invalid where it is none of them."""
    if store and store.lower() not in {known.lower() for known in _STORES}:
        raise arm.invalid(f"{store[:60]!r} is no sourceDataStoreType", f"send {_STORES[0]}")
    return not store or store.lower() in {known.lower() for known in LOG_STORES}


def _moment(body: dict[str, Any], name: str) -> Instant | None:
    text = arm.pick_text(body, name)
    return arm.read_instant(text, name) if text else None
