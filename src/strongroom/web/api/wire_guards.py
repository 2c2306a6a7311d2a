"""Resource guards, proxies and approvals as JSON. Only wire*.py spells ARM's names."""

from typing import Any

from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import etag_of
from strongroom.model.resources import guard
from strongroom.web.api.wire import Row, instant

_TYPE = "Microsoft.DataProtection/resourceGuards"
_HOW = "A second principal approves: strongroom approve list"


def resource_guard(subscription: str, row: Row) -> dict[str, Any]:
    """A guard, with the operations that it protects."""
    return {
        "id": arm.guard_id_of(subscription, row["resource_group"], row["name"]),
        "name": row["name"],
        "type": _TYPE,
        "location": row["location"],
        "tags": row["tags"],
        "eTag": etag_of(row["version"]),
        "properties": {
            "provisioningState": "Succeeded",
            "allowAutoApprovals": False,
            "resourceGuardOperations": [
                {
                    "vaultCriticalOperation": operation.name,
                    "requestResourceType": f"{_TYPE}/{operation.kind}",
                }
                for operation in guard.protected(row["exclusions"])
            ],
            "vaultCriticalOperationExclusionList": row["exclusions"],
            "description": _HOW,
            "strongroom": {"approvalDelayHours": row["delay_hours"]},
        },
    }


def request_object(guard_id: str, kind: str) -> dict[str, Any]:
    """What a protected call names in its resourceGuardOperationRequests."""
    return {
        "id": guard.request_id(guard_id, kind),
        "name": guard.DEFAULT,
        "type": f"{_TYPE}/{kind}",
    }


def proxy(subscription: str, ref: VaultRef, row: Row) -> dict[str, Any]:
    """That a vault stands under a guard."""
    place = arm.guard_id_of(subscription, row["resource_group"], row["name"])
    return {
        "id": f"{arm.vault_id_of(subscription, ref)}/backupResourceGuardProxies/{guard.PROXY}",
        "name": guard.PROXY,
        "type": "Microsoft.DataProtection/backupVaults/backupResourceGuardProxies",
        "properties": {
            "resourceGuardResourceId": place,
            "resourceGuardOperationDetails": [
                {
                    "vaultCriticalOperation": operation.name,
                    "defaultResourceRequest": guard.request_id(place, operation.kind),
                }
                for operation in guard.protected(row["exclusions"])
            ],
            "lastUpdatedTime": instant(row["updated_at"]),
            "description": _HOW,
        },
    }


def approval(row: Row, guard_id: str, state: str) -> dict[str, Any]:
    """A request for a second person's approval, and what became of it."""
    operation = guard.BY_NAME[row["operation"].lower()]
    return {
        "id": row["id"],
        "operation": operation.name,
        "words": operation.words,
        "scope": row["scope"],
        "asked": row["asked"],
        "askedBy": row["asked_by"],
        "askedAt": instant(row["asked_at"]),
        "state": state,
        "decidedBy": row["decided_by"],
        "decidedAt": instant(row["decided_at"]),
        "goodFrom": instant(row["good_from"]),
        "expiresAt": instant(row["expires_at"]),
        "usedAt": instant(row["used_at"]),
        "resourceGuard": guard_id,
    }
