"""Rows of Azure Resource Graph: resources as ARM has them, in the columns of its tables.

Source: the schema of its tables `resources` and `recoveryservicesresources`; `type` is in lower
case there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_EMPTY = {"kind": "", "managedBy": "", "sku": None, "plan": None, "zones": None}


def row(told: Mapping[str, Any], tenant: str, location: str) -> dict[str, Any]:
    """`told`: a vault, an instance or a job, as wire*.py tells of it."""
    _, _, subscription, _, group, *_ = told["id"].split("/")
    return {
        "id": told["id"],
        "name": told["name"],
        "type": told["type"].lower(),
        "tenantId": tenant,
        "location": told.get("location") or location,
        "resourceGroup": group,
        "subscriptionId": subscription,
        **_EMPTY,
        "properties": told["properties"],
        "tags": told.get("tags"),
        "identity": told.get("identity"),
        "extendedLocation": None,
    }


def instance(told: dict[str, Any], location: str, regions: Sequence[str]) -> dict[str, Any]:
    """With the regions that a restore across regions is asked by: `regions`, the second's."""
    extended = {"protectedPrimaryRegion": location}
    if regions:
        extended["protectedSecondaryRegion"] = regions[0]
    properties = {**told["properties"], "backupInstanceExtendedProperties": extended}
    return {**told, "properties": properties}


def answer(rows: Sequence[Mapping[str, Any]], total: int, token: str) -> dict[str, Any]:
    """`rows` of `total` that there are; `token`: where the next ones begin, empty at the end."""
    told: dict[str, Any] = {
        "totalRecords": total,
        "count": len(rows),
        "data": list(rows),
        "facets": [],
        "resultTruncated": "false",
    }
    return {**told, "$skipToken": token} if token else told
