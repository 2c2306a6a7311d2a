"""Policies as ARM's JSON, and what is ours beside them: previews."""

import json
from collections.abc import Mapping
from typing import Any

from whenever import Date

from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.points.preview import Preview, end_of_day, zone_of_policy
from strongroom.model.points.reapply import Change
from strongroom.model.points.retention import Fire
from strongroom.web.api.wire import instant

Row = Mapping[Any, Any]


def policy(subscription: str, row: Row) -> dict[str, Any]:
    """A policy, echoed as it came."""
    ref = VaultRef(resource_group=row["vault_group"], name=row["vault_name"])
    return {
        "id": arm.policy_id_of(subscription, ref, row["name"]),
        "name": row["name"],
        "type": "Microsoft.DataProtection/backupVaults/backupPolicies",
        "properties": json.loads(row["properties"]),
    }


def version(subscription: str, ref: VaultRef, row: Row) -> dict[str, Any]:
    """One version of a policy; `properties` as they were then, `systemData` as ARM has it."""
    return {
        "id": f"{arm.policy_id_of(subscription, ref, row['name'])}/versions/{row['version']}",
        "name": str(row["version"]),
        "type": "Microsoft.DataProtection/backupVaults/backupPolicies/versions",
        "properties": json.loads(row["properties"]),
        "systemData": {"createdAt": instant(row["created_at"]), "createdBy": row["created_by"]},
    }


def preview(found: Preview, on: Date | None, count: int) -> dict[str, Any]:
    """`count` backups to come, how many points there are each year, and those of one day."""
    told: dict[str, Any] = {
        "from": instant(found.start),
        "until": instant(found.until),
        "timeZone": zone_of_policy(found.policy),
        "backups": len(found.fires),
        "operationalDays": found.policy.operational_days,
        "next": [_point(fire, fire.verdict.reason) for fire in found.fires[:count]],
        "years": [
            {"at": instant(time), "points": sum(by_tag.values()), "byTag": by_tag}
            for time, by_tag in found.counts(found.anniversaries())
        ],
    }
    if on is not None:
        day = found.at(end_of_day(found.policy, on))
        told["on"] = on.format_iso()
        told["points"] = [_point(kept.fire, kept.why) for kept in day]
    return told


def change(instance: str, found: Change) -> dict[str, Any]:
    """When a point that exists would end."""
    return {
        "backupInstance": instance,
        "recoveryPoint": found.point.id,
        "takenAt": instant(found.point.taken_at),
        "tag": found.point.tag,
        "expiresAt": instant(found.point.expires_at),
        "becomes": instant(found.ends),
        "why": found.why,
    }


def _point(fire: Fire, why: str) -> dict[str, Any]:
    return {
        "takenAt": instant(fire.at),
        "rule": fire.rule_name,
        "tag": fire.verdict.tag,
        "expiresAt": instant(fire.verdict.expires_at),
        "why": why,
    }
