"""Follow a job to its end, with a bar for whoever looks."""

from typing import Any

from strongroom.cli import console
from strongroom.cli.client import Client, error_of
from strongroom.model.errors import VaultError, from_dict
from strongroom.model.seams import Clock

_POLL_SECONDS = 0.5


def follow(client: Client, job_id: str, title: str, clock: Clock) -> dict[str, Any]:
    """The ended job's properties; raises what it failed with."""
    with console.meter(title) as meter:
        while True:
            job: dict[str, Any] = client.get(job_id)["properties"]
            show(meter, job)
            if job["status"] != "InProgress":
                break
            clock.sleep(_POLL_SECONDS)
    if job["status"] in {"Failed", "Cancelled"}:
        raise failure_of(job)
    return job


def show(meter: console.Meter, job: dict[str, Any]) -> None:
    """How far it is: its moving step and bytes."""
    tasks = job["extendedInfo"]["subTasks"]
    waiting = [t for t in tasks if t["taskStatus"] != "Completed"]
    moving = next((t for t in waiting if t["taskStatus"] == "InProgress"), [*waiting, *tasks][0])
    details = moving["additionalDetails"] or {}
    meter.show(
        moving["taskName"],
        int(details.get("DataTransferredInBytes", 0)),
        int(details.get("TotalBytes", 0)),
        int(details.get("StoredBytes", 0)),
    )


def failure_of(job: dict[str, Any]) -> VaultError:
    """What a job failed with."""
    details = job.get("errorDetails")
    if not details:
        return from_dict({"kind": "Failed", "message": f"the job is {job['status']}"})
    first = details[0]
    return error_of({**first, "additionalInfo": [{"info": first}]})
