"""Back up, and look at points and jobs."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli import connection, console
from strongroom.cli.client import Client
from strongroom.cli.follow import follow
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.protect import backup_body, facts_of, policy_of


def backup(
    name: str,
    *,
    wait: Annotated[bool, Parameter(help="Follow it to its end.")] = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Take a backup now.

    ```
    strongroom backup shop
    strongroom backup shop --no-wait
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        body = backup_body(client, policy_of(client, name))
        job = client.post(f"{client.vault}/backupInstances/{name}/backup", body)["jobId"]
        if not wait:
            console.say(f"it runs: strongroom jobs --follow {job.rpartition('/')[2]}")
            return
        ended = follow(client, job, f"backup of {name}", means.clock)
    point = ended["extendedInfo"]["targetRecoverPoint"]["recoveryPointID"]
    if common.output == "json":
        console.as_json({"server": name, "recoveryPoint": point, "job": ended["activityID"]})
    else:
        console.say(f"recovery point {point} of {name} is committed")


def points(name: str, *, common: Common = COMMON, means: Given) -> None:
    """List the recovery points of a server, newest first.

    ```
    strongroom points shop
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        found = client.values(f"{client.vault}/backupInstances/{name}/recoveryPoints")
    if common.output == "json":
        console.as_json(found)
        return
    console.table(
        ("point", "taken", "tag", "kept until", "size", "stored", "postgresql"),
        [_row(point) for point in found],
        f"no recovery points yet: strongroom backup {name}",
    )


def _row(point: dict[str, Any]) -> tuple[str, ...]:
    told, facts = point["properties"], facts_of(point)
    return (
        point["name"],
        told["recoveryPointTime"][:19].replace("T", " "),
        told["retentionTagName"],
        told["expiryTime"][:10],
        console.size(facts.get("rawBytes", 0)),
        console.size(facts.get("storedBytes", 0)),
        str(facts.get("version_number", 0) // 10000),
    )


def jobs(
    *,
    follow_: Annotated[str, Parameter(name="--follow", help="Follow this job.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """List the jobs, newest first, or follow one.

    ```
    strongroom jobs
    strongroom jobs --follow 0b8f...
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        if follow_:
            ended = follow(client, f"{client.vault}/backupJobs/{follow_}", "job", means.clock)
            console.say(f"job {follow_} is {ended['status']}")
            return
        found = client.values(f"{client.vault}/backupJobs")
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            job["name"],
            job["properties"]["operation"],
            job["properties"]["dataSourceName"],
            job["properties"]["status"],
            job["properties"]["startTime"][:19].replace("T", " "),
            (job["properties"]["errorDetails"] or [{"message": ""}])[0]["message"][:80],
        )
        for job in found
    ]
    columns = ("job", "what", "server", "status", "started", "error")
    console.table(columns, rows, "no jobs yet: strongroom backup NAME")
