"""Long-term backups of a flexible server, in the words of Microsoft.DBforPostgreSQL."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.basis.long_running import get_operation
from strongroom.control.points import long_term
from strongroom.control.resources import servers
from strongroom.control.restore import new_servers
from strongroom.model import arm
from strongroom.model.errors import from_dict
from strongroom.model.work.job import Job, JobStatus
from strongroom.web.api import wire, wire_jobs
from strongroom.web.api.door import Asked, Body, Call, Here, does
from strongroom.web.api.errors import inner_code_of
from strongroom.web.api.long_running import OWN, RETRY_SECONDS
from strongroom.web.api.wire import SERVER_TYPE, instant

router = APIRouter()
_SUBSCRIPTION = "/subscriptions/{subscription_id}"
_PROVIDER = "/providers/Microsoft.DBforPostgreSQL"
_SERVER = _SUBSCRIPTION + "/resourceGroups/{group}" + _PROVIDER + "/flexibleServers/{name}"
_LOCATION = _SUBSCRIPTION + _PROVIDER + "/locations/{location}"
_STATUS = {
    JobStatus.IN_PROGRESS: "Running",
    JobStatus.COMPLETED: "Succeeded",
    JobStatus.COMPLETED_WITH_WARNINGS: "Succeeded",
    JobStatus.FAILED: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}


@router.post(_SERVER + "/startLtrBackup", openapi_extra=does(long_term.START))
def start_backup(group: str, name: str, here: Here, body: Body, call: Asked) -> Response:
    """Dump a server as it is now into a container, by its SAS."""
    asked = (group, name), body, call.key
    operation = long_term.start_backup(call.control, call.caller, *asked)
    return Response(status_code=202, headers=server_addresses(call, here, operation))


def server_addresses(call: Call, here: str, operation: str) -> dict[str, str]:
    """Where an operation of this provider is polled."""
    home = f"{call.base}/subscriptions/{here}{_PROVIDER}/locations"
    home += f"/{call.control.installation.location}"
    version = f"?api-version={call.version}"
    return {
        "Azure-AsyncOperation": f"{home}/azureAsyncOperation/{operation}{version}",
        "Location": f"{home}/operationResults/{operation}{version}",
        "Retry-After": RETRY_SECONDS,
    }


@router.get(_SERVER + "/ltrBackupOperations", openapi_extra=does(long_term.READ))
def list_backups(group: str, name: str, here: Here, call: Asked) -> dict[str, Any]:
    """The long-term backups of a server, newest first."""
    found = long_term.list_backups(call.control, call.caller, group, name)
    return {"value": [_backup(here, job) for job in found]}


@router.get(_SERVER + "/ltrBackupOperations/{backup}", openapi_extra=does(long_term.READ))
def get_backup(group: str, name: str, backup: str, here: Here, call: Asked) -> dict[str, Any]:
    """One of them, by its name."""
    found = long_term.get_backup(call.control, call.caller, (group, name), backup)
    return _backup(here, found)


@router.get(_LOCATION + "/azureAsyncOperation/{operation_id}", openapi_extra=does(OWN))
def backup_status(operation_id: str, here: Here, call: Asked) -> JSONResponse:
    """How far it is."""
    row = get_operation(call.control, call.caller, operation_id)
    place = server_addresses(call, here, row["id"])["Azure-AsyncOperation"]
    under_way = row["status"] == "Inprogress"
    address = place.removeprefix(call.base).partition("?")[0]
    told = wire_jobs.operation(row, address, of_server=True)
    told["status"] = "InProgress" if under_way else row["status"]
    return JSONResponse(told, headers={"Retry-After": RETRY_SECONDS} if under_way else {})


@router.get(_LOCATION + "/operationResults/{operation_id}", openapi_extra=does(OWN))
def backup_result(operation_id: str, here: Here, call: Asked) -> Response:
    """What was dumped, or the server that was made; 202 until it is over."""
    row = get_operation(call.control, call.caller, operation_id)
    if row["status"] == "Inprogress":
        return Response(status_code=202, headers=server_addresses(call, here, row["id"]))
    if row["error"]:
        raise from_dict(row["error"])
    if row["kind"] == new_servers.KIND:
        ref = arm.read_server_id(row["resource_id"], here)
        made = servers.get_server(call.control, call.caller, ref.resource_group, ref.name)
        return JSONResponse(wire.server(here, made, servers.facts_of(made)))
    job = long_term.of_operation(call.control, row["id"], row["resource_id"])
    return JSONResponse({"properties": _properties(job)})


def _backup(here: str, job: Job) -> dict[str, Any]:
    name = job.order["backup_name"]
    home = arm.server_id_of(here, job.server_resource_group, job.server_name)
    return {
        "id": f"{home}/ltrBackupOperations/{name}",
        "name": name,
        "type": f"{SERVER_TYPE}/ltrBackupOperations",
        "properties": _properties(job),
    }


def _properties(job: Job) -> dict[str, Any]:
    error, done = job.error or {}, job.progress.done_bytes
    over = job.status in {JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_WARNINGS}
    total = job.progress.total_bytes or 1
    return {
        "datasourceSizeInBytes": job.progress.total_bytes or None,
        "dataTransferredInBytes": done,
        "backupName": job.order["backup_name"],
        "backupMetadata": None,
        "status": _STATUS[job.status],
        "startTime": instant(job.started_at),
        "endTime": instant(job.ended_at),
        "percentComplete": 100.0 if over else min(99.0, round(100 * done / total, 1)),
        "errorCode": inner_code_of(error) if error else None,
        "errorMessage": error.get("message"),
    }
