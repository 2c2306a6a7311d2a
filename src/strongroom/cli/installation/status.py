"""What runs, what is protected, what comes next."""

import shutil
from typing import Any

from strongroom.cli.basis import connection, console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.running import Place, lives
from strongroom.cli.basis.vault import Vault
from strongroom.cli.installation.streams import stream_of
from strongroom.cli.points import proofs
from strongroom.cli.points.points import brief
from strongroom.model.errors import Precondition
from strongroom.model.resources.second_copy import words_of
from strongroom.model.work.job import JobStatus


def status(*, common: Common = COMMON, means: Given) -> None:
    """Show processes, servers with their last good point and next backup, jobs and space.

    The exit code is 1 when strongroom does not run.

    ```
    strongroom status
    strongroom status --output json
    ```
    """
    place = Place(connection.data_directory(common))
    told = _processes(place)
    if told["running"]:
        with vaults.opened(common, means) as vault:
            told |= _protection(vault)
    told["storage"] = _storage(place)
    if common.output == "json":
        console.as_json(told)
    else:
        _show(told, place)
    if not told["running"]:
        raise Precondition(
            f"strongroom does not run in {place.data}", hint="Start it: strongroom up --detach"
        )


def _processes(place: Place) -> dict[str, Any]:
    holder = place.holder()
    state = place.read()
    return {
        "running": holder is not None and state.ready,
        "supervisor": holder,
        "processes": {name: child.pid for name, child in state.children.items() if lives(child)},
        "ports": state.ports,
    }


def _protection(vault: Vault) -> dict[str, Any]:
    jobs = vault.jobs()
    servers = []
    for instance in vault.instances():
        told = instance["properties"]
        points = [brief(each) for each in vault.points(instance["name"])]
        policy_id = told["policyInfo"]["policyId"]
        ours = told["strongroom"]
        servers.append(
            {
                "name": instance["name"],
                "state": told["currentProtectionState"],
                "policy": policy_id.rpartition("/")[2],
                "points": len(points),
                "damagedPoints": sum(bool(each["facts"].get("damaged")) for each in points),
                "storageFindings": len(vault.findings(instance["name"])),
                "lastGoodPoint": points[0]["takenAt"] if points else None,
                "nextBackup": short_time(ours["nextBackup"])[:16] or None,
                "heldSince": short_time(ours["heldSince"])[:16] or None,
                "missedWindow": ours["missedWindow"],
                "stream": stream_of(vault, instance["name"], ours),
                **proofs.state(ours),
                "legalHolds": sorted(
                    {str(each["name"]) for each in vault.holds(instance["name"])}
                ),
            }
        )
    deleted = [_deleted(each) for each in vault.deleted_instances()]
    return {
        "installation": vault.connection.tenant,
        "portal": vault.connection.portal,
        "arm": vault.connection.arm,
        "servers": servers,
        "secondCopy": vault.second_copy(),
        "deleted": deleted,
        "unprotected": sorted(
            {each["name"] for each in vault.servers()}
            - {each["name"] for each in servers}
            - {each["server"] for each in deleted}
        ),
        "runningJobs": [
            {
                "id": job["name"],
                "operation": job["properties"]["operation"],
                "server": job["properties"]["dataSourceName"],
            }
            for job in jobs
            if job["properties"]["status"] == JobStatus.IN_PROGRESS.value
        ],
    }


def _deleted(instance: dict[str, Any]) -> dict[str, str]:
    told = instance["properties"]
    purged = short_time(told["deletionInfo"]["scheduledPurgeTime"])
    server = told["dataSourceInfo"]["resourceName"]
    return {"name": instance["name"], "server": server, "purgedAt": purged}


def _storage(place: Place) -> dict[str, Any] | None:
    directory = place.data / "store"
    if not directory.exists():
        return None
    usage = shutil.disk_usage(directory)
    return {"directory": str(directory), "freeBytes": usage.free, "totalBytes": usage.total}


def _show(told: dict[str, Any], place: Place) -> None:
    found = told["processes"]
    words = ", ".join(f"{name} ({pid})" for name, pid in found.items()) or "none"
    shown = {"processes": words, "data": str(place.data)}
    if told["running"]:
        shown |= {"installation": told["installation"]}
        shown |= {"portal": told["portal"], "API": told["arm"]}
    if told.get("secondCopy"):
        shown["second copy"] = words_of(told["secondCopy"])
    storage = told["storage"]
    if storage:
        free, total = console.size(storage["freeBytes"]), console.size(storage["totalBytes"])
        shown["storage"] = f"{free} free of {total} in {storage['directory']}"
    console.facts(shown, indent="")
    if not told["running"]:
        return
    console.say()
    rows = [
        (
            server["name"],
            server["state"],
            server["policy"],
            str(server["points"]),
            server["lastGoodPoint"] or "none yet",
            server["nextBackup"] or "none",
        )
        for server in told["servers"]
    ]
    columns = ("server", "state", "policy", "points", "last good (UTC)", "next backup (UTC)")
    console.table(columns, rows, "nothing is protected yet: strongroom protect CONNINFO")
    for server in told["servers"]:
        _show_troubles(server)
    for gone in told["deleted"]:
        console.say(
            f"{gone['name']} is deleted, and purged on {gone['purgedAt'][:16]} UTC: "
            f"strongroom undelete {gone['name']}"
        )
    for name in told["unprotected"]:
        console.say(f"{name} is registered but not protected")
    for job in told["runningJobs"]:
        console.say(f"running: {job['operation']} of {job['server']}, job {job['id']}")


def _show_troubles(server: dict[str, Any]) -> None:
    """What is not as it should be, or not as the policy alone would have it."""
    if server["damagedPoints"] or server["storageFindings"]:
        console.say(
            f"{server['name']}: {server['storageFindings']} things are wrong in storage, "
            f"{server['damagedPoints']} points are damaged: strongroom doctor"
        )
    for fact, _ in proofs.troubles(server["name"], server):
        console.say(f"{fact}: strongroom doctor")
    if server["heldSince"]:
        missed = "missed its window and " if server["missedWindow"] else ""
        console.say(
            f"{server['name']}: the backup of {server['heldSince']} UTC {missed}waits for the "
            f"next window: {server['nextBackup']} UTC"
        )
    stream = server["stream"]
    if stream is not None:
        why = f": {stream['why']}" if stream.get("why") else ""
        behind = f", {stream['lagSeconds']:.0f} s behind" if "lagSeconds" in stream else ""
        console.say(f"{server['name']}: its log is {stream['state'].lower()}{behind}{why}")
    if server["legalHolds"]:
        console.say(f"{server['name']}: held by {', '.join(server['legalHolds'])}")
