"""Resources as ARM's JSON: only wire*.py spells its names. Ids in canonical case."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from whenever import Instant

from strongroom.control.protection.server_backups import ServerBackup
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import etag_of
from strongroom.model.points.drill_turns import is_late
from strongroom.model.protection.backup_settings import settings_of, window_of
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.starting import limits_of, wait_seconds
from strongroom.model.resources.vault import NO_IDENTITY
from strongroom.model.work.operation import ServerFacts
from strongroom.web.api.errors import user_facing

Row = Mapping[Any, Any]
SERVER_TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"
_PROVISIONING = {
    "ConfiguringProtection": "Provisioning",
    "ConfiguringProtectionFailed": "Failed",
}


def instant(moment: Instant | None) -> str | None:
    """ISO 8601 with seven digits, as Azure writes it."""
    if moment is None:
        return None
    return moment.format_iso(unit="microsecond").removesuffix("Z") + "0Z"


def group(subscription: str, row: Row) -> dict[str, Any]:
    """A resource group."""
    return {
        "id": arm.group_id_of(subscription, row["name"]),
        "name": row["name"],
        "type": "Microsoft.Resources/resourceGroups",
        "location": row["location"],
        "tags": row["tags"],
        "properties": {"provisioningState": "Succeeded"},
    }


def vault(subscription: str, tenant: str, row: Row, regions: Sequence[str] = ()) -> dict[str, Any]:
    """A backup vault, defaults filled in. `regions`: where else its data lies."""
    asked = row["properties"]
    security = asked.get("securitySettings") or {}
    defaults = {
        "softDeleteSettings": {"state": "On", "retentionDurationInDays": 14.0},
        "immutabilitySettings": {"state": "Disabled"},
    }
    ref = VaultRef(resource_group=row["resource_group"], name=row["name"])
    return {
        "id": arm.vault_id_of(subscription, ref),
        "name": row["name"],
        "type": "Microsoft.DataProtection/backupVaults",
        "location": row["location"],
        "tags": row["tags"],
        "eTag": etag_of(row["version"]),
        "identity": _identity(tenant, row),
        "properties": {
            "monitoringSettings": asked.get("monitoringSettings"),
            "costManagementSettings": asked.get("costManagementSettings"),
            "strongroom": msgspec.to_builtins(limits_of(asked)),
            "featureSettings": asked.get("featureSettings"),
            "storageSettings": asked.get("storageSettings")
            or [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}],
            "securitySettings": {**defaults, **security},
            "provisioningState": row["state"],
            "resourceMoveState": "Unknown",
            "isVaultProtectedByResourceGuard": row["guard_id"] is not None,
            "secureScore": "None",
            "bcdrSecurityLevel": "Poor",
            "replicatedRegions": list(regions),
        },
    }


def _identity(tenant: str, row: Row) -> dict[str, Any]:
    """Terraform takes one that it did not ask for as a change to be undone, for ever."""
    if row["properties"].get("identityType") == NO_IDENTITY:
        return {"type": NO_IDENTITY}
    return {"type": "SystemAssigned", "principalId": row["principal_id"], "tenantId": tenant}


def instance(subscription: str, row: Row, now: Instant) -> dict[str, Any]:
    """A backup instance: what was asked, and what has become of it. Never a credential."""
    # By the names as they were given, however whoever asks has spelt them.
    ref = VaultRef(resource_group=row["vault_group"], name=row["vault_name"])
    asked = row["properties"]
    state = row["state"]
    failed = user_facing(row["error"]) if row["error"] else None
    return {
        "id": arm.instance_id_of(subscription, ref, row["name"]),
        "name": row["name"],
        "type": "Microsoft.DataProtection/backupVaults/backupInstances",
        "tags": row["tags"],
        "properties": {
            "objectType": "BackupInstance",
            "friendlyName": arm.pick(asked, "friendlyName") or row["server_name"],
            "dataSourceInfo": _datasource(subscription, row, "Datasource"),
            "dataSourceSetInfo": _datasource(subscription, row, "DatasourceSet")
            if arm.pick(asked, "dataSourceSetInfo")
            else None,
            "datasourceAuthCredentials": None,
            "policyInfo": {
                "policyId": arm.policy_id_of(subscription, ref, row["policy_name"]),
                "policyVersion": str(row["policy_version"]),
                "policyParameters": None,
            },
            "identityDetails": arm.pick(asked, "identityDetails"),
            "validationType": arm.pick(asked, "validationType"),
            "protectionStatus": {"status": state, "errorDetails": failed},
            "currentProtectionState": state,
            "protectionErrorDetails": failed,
            "provisioningState": _PROVISIONING.get(state, "Succeeded"),
            "strongroom": _extension(row, now),
        },
    }


def _extension(row: Row, now: Instant) -> dict[str, Any]:
    """Settings of backups, when the next one begins, whether one is held by its window; drills."""
    settings = settings_of(row["properties"])
    window, due = window_of(settings), row["next_fire_at"]
    waiting = window.waiting(due, now) if window and due else None
    starts = window.next_open(max(due, now)) if window and due else due
    if starts and due:  # its share of the spread over all instances of the policy
        wait = wait_seconds(row["id"], row["policy_users"], _start_within(row["policy"]))
        starts = max(starts, due.add(seconds=wait))
    return {
        "settings": settings.to_dict(),
        "operationalDays": operational_days(row["properties"], row["policy"]),
        "nextBackup": instant(starts),
        "heldSince": instant(waiting.since) if waiting else None,
        "missedWindow": bool(waiting and waiting.missed),
        **_proofs(row, settings.drill_days, now),
    }


@lru_cache(maxsize=256)
def _start_within(policy: str) -> int | None:
    return parse_policy(policy).start_within


def _proofs(row: Row, days: int, now: Instant) -> dict[str, Any]:
    """The last drill, whether the next one is late, and what holds expiry."""
    last, since = row["drilled_at"], row["expiry_held_since"]
    return {
        "lastDrill": {"at": instant(last), "verdict": row["drill_verdict"]} if last else None,
        "drillLate": is_late(days, row["oldest_point_at"], last, now),
        "expiryHeld": {"since": instant(since), "why": row["expiry_held_why"]} if since else None,
    }


def _datasource(subscription: str, row: Row, kind: str) -> dict[str, Any]:
    server_id = arm.server_id_of(subscription, row["server_group"], row["server_name"])
    return {
        "objectType": kind,
        "datasourceType": SERVER_TYPE,
        "resourceID": server_id,
        "resourceName": row["server_name"],
        "resourceType": SERVER_TYPE,
        "resourceLocation": row["server_location"],
        "resourceUri": server_id,
        "resourceProperties": None,
    }


def _server_state(row: Row, known: ServerFacts) -> str:
    if (row["facts"] or {}).get("provisioning"):  # till its agent tells of it
        return "Provisioning"
    return "Ready" if known.ready else "Stopped"


def server_backup(found: ServerBackup | None) -> dict[str, Any] | None:
    """What Azure tells of a flexible server's own backups, of those in the vault."""
    if found is None:
        return None
    return {
        "backupRetentionDays": found.days,
        "geoRedundantBackup": "Enabled" if found.has_second_copy else "Disabled",
        "immutableBackup": "Enabled" if found.is_immutable else "Disabled",
        "earliestRestoreDate": instant(found.oldest_point_at),
    }


def server(subscription: str, row: Row, facts: ServerFacts | None) -> dict[str, Any]:
    """A PostgreSQL server as its agent sees it."""
    known = facts or ServerFacts(name=row["name"], ready=False)
    return {
        "id": arm.server_id_of(subscription, row["resource_group"], row["name"]),
        "name": row["name"],
        "type": SERVER_TYPE,
        "location": row["location"],
        "tags": row["tags"],
        "properties": {
            "state": _server_state(row, known),
            "version": str(known.version_number // 10000 or ""),
            "minorVersion": str(known.version_number % 10000),
            "administratorLogin": known.administrator or None,
            "fullyQualifiedDomainName": known.endpoint.rpartition(":")[0] or known.endpoint,
            "storage": {"storageSizeGB": -(-known.size_bytes >> 30) or 1},
            "replicationRole": "AsyncReplica" if known.in_recovery else "Primary",
            "strongroom": {
                "agent": row["agent_id"],
                "agentServer": row["agent_server"],
                "seenAt": instant(row["seen_at"]),
                "problems": known.problems,
                "dumpable": known.dumpable,
                "way": known.way,
                "endpoint": known.endpoint,  # with its port
                "sizeBytes": known.size_bytes,
                "databases": known.databases,
                "dataDirectory": known.data_directory,
                "tablespaces": known.tablespaces,
            },
        },
    }
