"""What runs, what is protected, what comes next; and what is wrong, with the next step."""

from typing import Any

import httpx

from strongroom.cli import connection, console
from strongroom.cli.client import Client
from strongroom.cli.means import COMMON, Common, Given, Means
from strongroom.cli.running import Place
from strongroom.model.errors import Failed, NotFound


def status(*, common: Common = COMMON, means: Given) -> None:
    """Show what runs, what is protected and what runs now.

    ```
    strongroom status
    ```
    """
    found = connection.load(common)
    holder = Place(connection.data_directory(common)).holder()
    with Client(found, means.clock, means.chance) as client:
        told = _collect(client)
    if common.output == "json":
        console.as_json({"process": holder, **told})
        return
    console.facts(
        {
            "strongroom": f"running (process {holder})" if holder else "not started by `up` here",
            "portal": found.portal,
            "storage": told["storage"],
        },
        indent="",
    )
    console.say()
    columns = ("server", "state", "protection", "points", "newest point")
    console.table(
        columns, told["servers"], "nothing is protected yet: strongroom protect CONNINFO"
    )
    for job in told["running"]:
        console.say(f"running: {job}")


def _collect(client: Client) -> dict[str, Any]:
    try:
        instances = client.values(f"{client.vault}/backupInstances")
        jobs = client.values(f"{client.vault}/backupJobs")
    except NotFound:
        instances, jobs = [], []
    rows = []
    for instance in instances:
        points = client.values(f"{client.vault}/backupInstances/{instance['name']}/recoveryPoints")
        server = client.get(instance["properties"]["dataSourceInfo"]["resourceID"])
        newest = points[0]["properties"]["recoveryPointTime"][:19] if points else "none yet"
        state = instance["properties"]["currentProtectionState"]
        row = (server["name"], server["properties"]["state"], state, str(len(points)))
        rows.append((*row, newest.replace("T", " ")))
    running = [
        f"{j['properties']['operation']} of {j['properties']['dataSourceName']} ({j['name']})"
        for j in jobs
        if j["properties"]["status"] == "InProgress"
    ]
    return {"servers": rows, "running": running, "storage": _storage(client)}


def _storage(client: Client) -> str:
    try:
        told = httpx.get(f"{client.found.blob}/healthz", timeout=5.0).json()
    except (httpx.HTTPError, ValueError) as error:
        return f"cannot be reached ({type(error).__name__}): strongroom up"
    return f"{told['status']}, {console.size(told['freeBytes'])} free"


def doctor(*, common: Common = COMMON, means: Given) -> None:
    """Say what is wrong with this installation, and the next step.

    ```
    strongroom doctor
    ```
    """
    findings = list(_findings(common, means))
    if common.output == "json":
        console.as_json([{"what": what, "next": step} for what, step in findings])
        return
    for what, step in findings:
        console.say(f"wrong: {what}")
        console.say(f" next: {step}")
    if findings:
        raise Failed(f"{len(findings)} things want attention")
    console.say("nothing is wrong")


def _findings(common: Common, means: Means) -> list[tuple[str, str]]:
    found = connection.load(common)
    place = connection.data_directory(common)
    findings = []
    if (place / "recovery.key").exists():
        findings.append(
            (
                "the recovery key lies on the machine that it should outlive",
                f"copy {place}/recovery.key somewhere safe, then remove it here",
            )
        )
    with Client(found, means.clock, means.chance) as client:
        told = _collect(client)
    if "cannot be reached" in told["storage"] or told["storage"].startswith("full"):
        findings.append((f"storage {told['storage']}", "free space, or start it: strongroom up"))
    for server, state, protection, points, _ in told["servers"]:
        if state != "Ready":
            findings.append((f"server {server} is {state}", f"strongroom server check {server}"))
        if protection != "ProtectionConfigured":
            findings.append(
                (f"{server} is {protection}", f"strongroom protect ... --name {server}")
            )
        if points == "0":
            findings.append((f"{server} has no recovery point", f"strongroom backup {server}"))
    return findings
