"""Jobs, recovery points and operations as ARM's JSON."""

from typing import Any

import msgspec
from whenever import Instant

from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import MISSING_ROLES
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.job import UNCANCELLABLE, Job, JobKind, JobStatus
from strongroom.web.api.errors import SERVER_FAILED, error_body, inner_code_of, user_facing
from strongroom.web.api.wire import SERVER_TYPE, Row, instant


def _progress(job: Job) -> str:
    progress = job.progress
    if job.status is not JobStatus.IN_PROGRESS:
        return (
            "100" if job.status in {JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_WARNINGS} else ""
        )
    if not progress.total_bytes:
        return "0"
    return str(min(99, progress.done_bytes * 100 // progress.total_bytes))


def _sub_tasks(job: Job) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    for number, task in enumerate(job.sub_tasks, 1):
        moving = task.status == "InProgress"
        done = task.status == "Completed"
        details = {"startTime": task.started_at, "endTime": task.ended_at}
        if moving or (done and job.progress.done_bytes):
            details["DataTransferredInBytes"] = str(job.progress.done_bytes)
            details["StoredBytes"] = str(job.progress.stored_bytes)
            details["TotalBytes"] = str(job.progress.total_bytes)
            details["Step"] = job.progress.step
        tasks.append(
            {
                "taskId": number,
                "taskName": task.name,
                "taskStatus": task.status,
                "taskProgress": _progress(job) if moving else "100" if done else "0",
                "additionalDetails": details,
            }
        )
    return tasks


def _details(found: Job) -> dict[str, str]:
    """What a person wants to know of a job, by names for people."""
    # Of a backup by its schedule it is known once there is a point.
    details = {"RetentionTag": found.order.get("tag") or found.tag or "default"}
    if found.order.get("kind"):
        details["Backup Kind"] = found.order["kind"]
    if found.order.get("why_logical"):
        details["Why Logical"] = found.order["why_logical"]
    elif found.order.get("why_full"):
        details["Why Full"] = found.order["why_full"]
    elif found.progress.note:
        details["Note"] = found.progress.note
    if found.order.get("target_directory"):
        details["Target Directory"] = found.order["target_directory"]
    part = found.order.get("part") or {}
    if part.get("file_prefix"):
        details["Restore File Prefix"] = part["file_prefix"]
    result = found.order.get("result") or {}
    if result.get("started"):
        details["Started On Port"] = str(result.get("port", 0))
    for number, step in enumerate(result.get("nextSteps", []), 1):
        details[f"Next Step {number}"] = step
    for key, value in (found.order.get("collected") or {}).items():
        words = key.replace("condemned", "garbage").replace("_", " ").title()
        details[words] = str(value)
    return details


def _destination(found: Job) -> str | None:
    part = found.order.get("part") or {}
    place: str | None = found.order.get("target_directory") or part.get("target_url")
    return place


def _extended(found: Job) -> dict[str, Any]:
    taken = found.order.get("recovery_point_time")
    point = {
        "recoveryPointID": found.recovery_point_id,
        "recoveryPointTime": instant(Instant.parse_iso(taken)) if taken else None,
    }
    is_restore = found.kind is JobKind.RESTORE
    return {
        "backupInstanceState": None,
        "dataTransferredInBytes": float(found.progress.done_bytes),
        "targetRecoverPoint": point if found.recovery_point_id and not is_restore else None,
        "sourceRecoverPoint": point if is_restore else None,
        "recoveryDestination": _destination(found),
        "subTasks": _sub_tasks(found),
        "additionalDetails": _details(found),
        "warningDetails": [
            {"resourceName": found.server_name, "warning": user_facing(w)} for w in found.warnings
        ],
    }


def _failure(kind: JobKind, told: dict[str, Any]) -> dict[str, Any]:
    """A backup that begins without its roles fails at the server, in Azure's eyes."""
    if kind is JobKind.BACKUP and told["code"] == MISSING_ROLES:
        return user_facing({**told, "code": "AuthorizationFailed"}, SERVER_FAILED)
    return user_facing(told)


def _is_cancellable(found: Job) -> bool:
    return found.status is JobStatus.IN_PROGRESS and found.kind not in UNCANCELLABLE


def job(subscription: str, found: Job, now: Instant) -> dict[str, Any]:
    """A job, with true progress where Azure has null."""
    ref = VaultRef(resource_group=found.resource_group, name=found.vault_name)
    seconds = ((found.ended_at or now) - found.started_at).total("seconds")
    is_restore = found.kind is JobKind.RESTORE
    policy_id = arm.policy_id_of(subscription, ref, found.policy_name)
    server_id = arm.server_id_of(subscription, found.server_resource_group, found.server_name)
    return {
        "id": arm.job_id_of(subscription, ref, found.id),
        "name": found.id,
        "type": "Microsoft.DataProtection/backupVaults/backupJobs",
        "properties": {
            "activityID": found.id,
            "subscriptionId": subscription,
            "backupInstanceId": arm.instance_id_of(subscription, ref, found.instance_name),
            "policyId": policy_id,
            "dataSourceId": server_id,
            "vaultName": found.vault_name,
            "backupInstanceFriendlyName": found.server_name,
            "policyName": found.policy_name,
            "sourceResourceGroup": found.server_resource_group,
            "dataSourceSetName": None,
            "dataSourceName": found.server_name,
            "sourceDataStoreName": None,
            "sourceDataStoreType": "VaultStore" if is_restore else None,
            "destinationDataStoreName": None,
            "progressEnabled": True,
            "etag": f'W/"{found.status}-{found.progress.done_bytes}"',
            "sourceSubscriptionID": subscription,
            "dataSourceLocation": found.location,
            "startTime": instant(found.started_at),
            "endTime": instant(found.ended_at),
            "dataSourceType": SERVER_TYPE,
            "operationCategory": found.kind.value,
            "operation": found.kind.value,
            "status": found.status.value,
            "restoreType": "RecoveryPointBased" if is_restore else None,
            "isUserTriggered": found.user_triggered,
            "rehydrationPriority": None,
            "supportedActions": ["Cancel"] if _is_cancellable(found) else [""],
            "duration": f"PT{seconds:.3f}S",
            "progressUrl": None,
            "isCrossRegionRestore": None,
            "errorDetails": [_failure(found.kind, found.error)] if found.error else None,
            "extendedInfo": _extended(found),
        },
    }


def recovery_point(
    subscription: str, ref: VaultRef, instance_name: str, point: RecoveryPoint
) -> dict[str, Any]:
    """A recovery point; what PostgreSQL people want to know lies in metaData, as JSON."""
    told = {**point.facts, "rawBytes": point.raw_bytes, "storedBytes": point.stored_bytes}
    told["verifiedAt"] = told.pop("verified_at", None)
    store = {
        "id": point.id,
        "type": "VaultStore",
        "creationTime": instant(point.committed_at),
        "expiryTime": instant(point.expires_at),
        "metaData": msgspec.json.encode(told).decode(),
        "visible": True,
        "state": "COMMITTED",
        "rehydrationExpiryTime": None,
        "rehydrationStatus": None,
    }
    return {
        "id": f"{arm.instance_id_of(subscription, ref, instance_name)}/recoveryPoints/{point.id}",
        "name": point.id,
        "type": "Microsoft.DataProtection/backupVaults/backupInstances/recoveryPoints",
        "properties": {
            "objectType": "AzureBackupDiscreteRecoveryPoint",
            "recoveryPointId": point.id,
            "recoveryPointTime": instant(point.taken_at),
            "recoveryPointType": point.kind,
            "friendlyName": point.id,
            "recoveryPointDataStoresDetails": [store],
            "retentionTagName": point.tag,
            "retentionTagVersion": str(point.policy_version),
            "policyName": point.policy_name,
            "policyVersion": str(point.policy_version),
            "expiryTime": instant(point.expires_at),
            "recoveryPointState": point.state,
        },
    }


def operation(row: Row, address: str, *, of_server: bool = False) -> dict[str, Any]:
    """An operation's status document; `of_server`: of a server's own, whose codes are bare."""
    told: dict[str, Any] = {
        "id": address,
        "name": row["id"],
        "status": row["status"],
        "startTime": instant(row["started_at"]),
        "endTime": instant(row["ended_at"]) or "0001-01-01T00:00:00Z",
    }
    if row["error"]:
        code = inner_code_of(row["error"]) if of_server else ""
        told["error"] = error_body(row["error"], code)
    elif row["result"]:
        told["properties"] = job_info(row)
    return told


def job_info(row: Row) -> dict[str, Any]:
    """The result of a POST that makes a job."""
    result = row["result"] or {}
    return {"objectType": "OperationJobExtendedInfo", "jobId": result.get("jobId")}
