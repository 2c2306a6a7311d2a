"""Take a backup on demand; look at jobs."""

from textwrap import shorten
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.points.points import brief
from strongroom.cli.points.start_backup import start_backup
from strongroom.model.errors import Invalid, NotFound

_WORDS = 120  # characters of why a job failed, in a row; --follow tells all of it


def backup(
    name: str,
    /,
    *,
    wait: following.Wait = True,
    full: Annotated[bool, Parameter(help="Read everything anew.", negative="")] = False,
    logical: Annotated[
        bool, Parameter(help="Dump every database instead of copying the server.", negative="")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Take a backup of a protected server now.

    Only what has changed since the newest point is stored. With --full everything is read and
    stored anew; it is also when it must be, and then the job says why. A backup that runs already
    is followed instead of starting a second one.

    ```
    strongroom backup orders
    strongroom backup orders --full
    strongroom backup orders --logical
    strongroom backup orders --no-wait
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        job = start_backup(vault, name, full=full, logical=logical).rpartition("/")[2]
        if not wait:
            _tell(common, {"job": job}, f"backup started: strongroom jobs --follow {job}")
            return
        done = following.follow(vault, job, f"backup of {name}")
        told = done["properties"]["extendedInfo"]["targetRecoverPoint"] or {}
        wanted = str(told.get("recoveryPointID") or "")
        found = [brief(each) for each in vault.points(name)]
    point = next((each for each in found if each["id"] == wanted), None)
    if point is None:
        raise NotFound(f"the recovery point {wanted} of job {job} is not listed")
    following.tell_why(done)
    text = f"recovery point {point['id']} ({point['kind']}): {console.size(point['rawBytes'])}, "
    text += f"stored as {console.size(point['storedBytes'])}, "
    text += f"kept until {point['expiresAt'][:10]} ({point['tag']})"
    for warning in following.warnings_of(done):
        console.note(f"warning: {warning}")
    _tell(common, {"job": job, "recoveryPoint": point}, text)


def jobs(
    name: str = "",
    /,
    *,
    failed: Annotated[bool, Parameter(help="Only those that failed.", negative="")] = False,
    last: Annotated[int, Parameter(help="How many of the newest; 0: all.")] = 50,
    follow: Annotated[str, Parameter(help="Follow this job to its end.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """List the newest jobs of the vault, or of one server, or follow one.

    ```
    strongroom jobs
    strongroom jobs orders --failed
    strongroom jobs --follow 0f3d1c52-7c4e-4d59-9a3b-2d6e54a8f001
    ```

    Parameters
    ----------
    name
        A protected server. Default: all of them.
    """
    if last < 0:
        raise Invalid(f"--last {last} is no number of jobs", hint="Give 1 or more, or 0 for all.")
    with vaults.opened(common, means) as vault:
        if follow:
            done = following.follow(vault, follow, f"job {follow[:8]}")
            following.tell_why(done)
            for warning in following.warnings_of(done):
                console.note(f"warning: {warning}")
            _tell(common, _brief(done), f"job {follow} is {done['properties']['status']}")
            return
        if name:
            vault.need_instance(name)
        found = [_brief(job) for job in vault.jobs(name, failed=failed, most=last)]
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            job["id"],
            job["operation"],
            job["server"],
            job["status"],
            job["startedAt"],
            f"{job['seconds']:.0f} s",
            shorten(job["error"] or job["step"], _WORDS, placeholder=" ..."),
        )
        for job in found
    ]
    columns = ("job", "operation", "server", "status", "started (UTC)", "took", "")
    console.table(columns, rows, "no such job" if name or failed else "no job has run yet")


def _brief(job: dict[str, Any]) -> dict[str, Any]:
    told = job["properties"]
    errors = told.get("errorDetails") or []
    return {
        "id": job["name"],
        "operation": told["operation"],
        "server": told["dataSourceName"],
        "status": told["status"],
        "startedAt": short_time(told["startTime"]),
        "endedAt": short_time(told["endTime"]),
        "seconds": float(str(told["duration"]).removeprefix("PT").removesuffix("S")),
        "step": _step(told),
        "error": str(errors[0]["message"]) if errors else "",
    }


def _step(told: dict[str, Any]) -> str:
    for task in told["extendedInfo"]["subTasks"]:
        if task["taskStatus"] == "InProgress":
            return f"{task['taskName']} {task['taskProgress']} %"
    return ""


def _tell(common: Common, told: dict[str, Any], text: str) -> None:
    if common.output == "json":
        console.as_json(told)
    else:
        console.say(text)
