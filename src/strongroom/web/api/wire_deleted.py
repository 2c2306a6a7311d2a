"""Deleted things as ARM's JSON. Source: azure-mgmt-dataprotection 2.2.0, DeletedBackupInstance."""

from typing import Any

from whenever import Instant

from strongroom.control.resources.deleted_vaults import deleted_name
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.web.api import wire, wire_jobs
from strongroom.web.api.wire import Row, instant

_PROVIDER = "Microsoft.DataProtection/backupVaults"


def instance(subscription: str, row: Row, deletion: Row, now: Instant) -> dict[str, Any]:
    """A soft-deleted backup instance."""
    told = wire.instance(subscription, row, now)
    home = told["id"].rpartition("/backupInstances/")[0]
    return {
        **told,
        "id": f"{home}/deletedBackupInstances/{row['name']}",
        "type": f"{_PROVIDER}/deletedBackupInstances",
        "properties": {
            **told["properties"],
            "objectType": "DeletedBackupInstance",
            "deletionInfo": {
                "deletionTime": instant(deletion["deleted_at"]),
                "billingEndDate": instant(deletion["purge_at"]),
                "scheduledPurgeTime": instant(deletion["purge_at"]),
                "deleteActivityID": deletion["activity_id"],
            },
        },
    }


def point(
    subscription: str, ref: VaultRef, instance_name: str, found: RecoveryPoint, deletion: Row
) -> dict[str, Any]:
    """A soft-deleted recovery point: ours, in the form of Azure's deleted instances."""
    told = wire_jobs.recovery_point(subscription, ref, instance_name, found)
    home = arm.instance_id_of(subscription, ref, instance_name)
    info = {
        "deletionTime": instant(deletion["deleted_at"]),
        "scheduledPurgeTime": instant(deletion["purge_at"]),
        "deleteActivityID": deletion["activity_id"],
    }
    return {
        **told,
        "id": f"{home}/deletedRecoveryPoints/{found.id}",
        "type": f"{_PROVIDER}/backupInstances/deletedRecoveryPoints",
        "properties": {**told["properties"], "deletionInfo": info},
    }


def vault(subscription: str, tenant: str, row: Row, deletion: Row) -> dict[str, Any]:
    """A soft-deleted vault."""
    told = wire.vault(subscription, tenant, row)
    name, home = deleted_name(row["id"]), f"/subscriptions/{subscription}/providers"
    info = {
        "deletionTime": instant(deletion["deleted_at"]),
        "scheduledPurgeTime": instant(deletion["purge_at"]),
        "deleteActivityId": deletion["activity_id"],
    }
    original = {
        "originalBackupVaultId": told["id"],
        "originalBackupVaultName": row["name"],
        "originalBackupVaultResourcePath": told["id"],
    }
    location = f"{home}/Microsoft.DataProtection/locations/{row['location']}"
    return {
        "id": f"{location}/deletedVaults/{name}",
        "name": name,
        "type": "Microsoft.DataProtection/locations/deletedVaults",
        "location": row["location"],
        "tags": row["tags"],
        "properties": {**told["properties"], **original, "resourceDeletionInfo": info},
    }
