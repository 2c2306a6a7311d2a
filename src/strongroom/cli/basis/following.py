"""Watch a job until it ends."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis.rest import error_of
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Cancelled, ControlUnavailable, Failed, VaultError
from strongroom.model.work.job import JobStatus

Wait = Annotated[bool, Parameter(help="Follow it to its end.")]

POLL_SECONDS = 0.5
AWAY_SECONDS = 120.0
GOOD = (JobStatus.COMPLETED.value, JobStatus.COMPLETED_WITH_WARNINGS.value)


def follow(vault: Vault, job: str, title: str) -> dict[str, Any]:
    """Show how far a job is until it has ended well: the job's last state.

    Outlasts a restart of the control plane. Raises the job's own error, or Cancelled.
    """
    with console.meter(title) as meter:
        seen = vault.clock.monotonic()
        while True:
            try:
                found = vault.rest.get(vault.job(job))
                seen = vault.clock.monotonic()
            except ControlUnavailable:
                if vault.clock.monotonic() - seen > AWAY_SECONDS:
                    raise
                meter.show("waiting for the control plane", 0, 0)
                continue
            status = str(found["properties"]["status"])
            if status != JobStatus.IN_PROGRESS.value:
                break
            _show(meter, found["properties"])
            vault.clock.sleep(POLL_SECONDS)
    if status in GOOD:
        return found
    raise _failure(found)


def warnings_of(job: dict[str, Any]) -> list[str]:
    """What a job that ended well wants to be known."""
    told = (job["properties"].get("extendedInfo") or {}).get("warningDetails") or []
    return [str(each["warning"]["message"]) for each in told]


def tell_why(job: dict[str, Any]) -> None:
    """Why a backup that ended well is not what would have been expected: a full one, or a dump."""
    told = (job["properties"].get("extendedInfo") or {}).get("additionalDetails") or {}
    if told.get("Why Full"):
        console.note(f"full backup: {told['Why Full']}")
    if told.get("Why Logical"):
        console.note(f"logical backup: {told['Why Logical']}")


def _show(meter: console.Meter, properties: dict[str, Any]) -> None:
    for task in properties["extendedInfo"]["subTasks"]:
        if task["taskStatus"] != "InProgress":
            continue
        details = task.get("additionalDetails") or {}
        meter.show(
            str(details.get("Step") or task["taskName"]),
            int(details.get("DataTransferredInBytes", 0)),
            int(details.get("TotalBytes", 0)),
            int(details.get("StoredBytes", 0)),
        )


def _failure(job: dict[str, Any]) -> VaultError:
    properties = job["properties"]
    details = properties.get("errorDetails") or []
    cancelled = properties["status"] == JobStatus.CANCELLED.value
    if not details:
        if cancelled:
            return Cancelled(f"job {job['name']} was cancelled")
        return Failed(f"job {job['name']} failed and did not say why")
    told = details[0]
    info = {"additionalInfo": [{"type": "UserFacingError", "info": told}]}
    error = error_of({"code": told["code"], "message": told["message"], **info}, 200)
    return Cancelled(f"job {job['name']} was cancelled", hint=error.hint) if cancelled else error
