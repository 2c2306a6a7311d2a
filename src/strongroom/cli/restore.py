"""Plan a restore, restore, rescue."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli import connection, console
from strongroom.cli.client import Client
from strongroom.cli.follow import follow
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.protect import facts_of
from strongroom.model.errors import Cancelled, Invalid, NotFound


def plan(
    name: str,
    *,
    point: Annotated[str, Parameter(help="Recovery point; default: the newest.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Say what a restore would do, and change nothing.

    ```
    strongroom plan shop
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        chosen = choose(client, name, point)
    if common.output == "json":
        console.as_json(chosen)
    else:
        _tell_plan(name, chosen, "a new directory")


def restore(  # noqa: PLR0913 - an option each
    name: str,
    *,
    to_dir: Annotated[Path, Parameter(help="A new or empty directory on the agent's host.")],
    point: Annotated[str, Parameter(help="Recovery point; default: the newest.")] = "",
    tablespace: Annotated[
        list[str] | None, Parameter(help="OLD=NEW: where a tablespace goes. May be repeated.")
    ] = None,
    start: Annotated[bool, Parameter(negative="", help="Start the restored server.")] = False,
    port: Annotated[int, Parameter(help="The restored server's port.")] = 0,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    wait: Annotated[bool, Parameter(help="Follow it to its end.")] = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore a recovery point as a data directory, and start it when asked.

    ```
    strongroom restore shop --to-dir /srv/restored
    strongroom restore shop --to-dir /srv/restored --start --port 5433
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        chosen = choose(client, name, point)
        _tell_plan(name, chosen, str(to_dir))
        if console.is_watched() and not yes and not console.confirmed("Restore?"):
            raise Cancelled("nothing was restored", hint="add --yes to restore without a question")
        wish = {
            "targetDirectory": str(to_dir.absolute()),
            "tablespaces": _mapping(tablespace or []),
            "start": start,
            "port": port,
        }
        body = _body(client, name, chosen["name"], wish)
        instance = f"{client.vault}/backupInstances/{name}"
        client.post(f"{instance}/validateRestore", {"restoreRequestObject": body})
        job = client.post(f"{instance}/restore", body)["jobId"]
        if not wait:
            console.say(f"it runs: strongroom jobs --follow {job.rpartition('/')[2]}")
            return
        ended = follow(client, job, f"restore of {name}", means.clock)
    details = ended["extendedInfo"]["additionalDetails"]
    steps = [value for key, value in details.items() if key.startswith("Next Step")]
    if common.output == "json":
        console.as_json({"directory": str(to_dir), "point": chosen["name"], "next": steps})
        return
    console.say(f"{name} is restored in {to_dir}")
    for step in steps:
        console.say(f"next: {step}")


def choose(client: Client, name: str, point: str) -> dict[str, Any]:
    """The point by its id or the beginning of it, else the newest."""
    found = client.values(f"{client.vault}/backupInstances/{name}/recoveryPoints")
    chosen: list[dict[str, Any]] = [p for p in found if p["name"].startswith(point.lower())]
    if not chosen or (point and len(chosen) > 1):
        raise NotFound(
            f"{name} has {len(chosen)} recovery points that begin with {point[:32]!r}"
            if point
            else f"{name} has no recovery points",
            hint=f"list them: strongroom points {name}",
        )
    return chosen[0]


def _tell_plan(name: str, point: dict[str, Any], target: str) -> None:
    told, facts = point["properties"], facts_of(point)
    pairs = {
        "point": point["name"],
        "taken": told["recoveryPointTime"][:19].replace("T", " ") + " UTC",
        "PostgreSQL": str(facts.get("version_number", 0) // 10000),
        "to fetch": console.size(facts.get("storedBytes", 0)),
        "to write": console.size(facts.get("rawBytes", 0)),
        "target": target,
    }
    console.note(f"plan: restore {name}")
    for key, value in pairs.items():
        console.note(f"  {key.ljust(10)}  {value}")


def _mapping(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not sign or not old or not new:
            raise Invalid(
                f"{pair!r} is not OLD=NEW",
                hint="write --tablespace /old/location=/new/location",
            )
        found[old] = new
    return found


def _body(client: Client, name: str, point: str, wish: dict[str, Any]) -> dict[str, Any]:
    server = client.server(name)
    source = {
        "objectType": "Datasource",
        "datasourceType": "Microsoft.DBforPostgreSQL/flexibleServers",
        "resourceID": server,
        "resourceName": name,
    }
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "sourceResourceId": server,
        "recoveryPointId": point,
        "restoreTargetInfo": {
            "objectType": "RestoreTargetInfo",
            "recoveryOption": "FailIfExists",
            "restoreLocation": client.found.location,
            "datasourceInfo": source,
            "strongroom": wish,
        },
    }


def rescue(
    *,
    storage: Annotated[Path, Parameter(help="Directory of a storage endpoint, or of a copy.")],
    key: Annotated[Path, Parameter(help="The recovery key.")],
    point: Annotated[str, Parameter(help="Recovery point; without it they are listed.")] = "",
    to: Annotated[Path | None, Parameter(help="A new or empty directory.")] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore with storage and the recovery key alone: no service, no catalogue, no network.

    ```
    strongroom rescue --storage /srv/copy --key recovery.key
    strongroom rescue --storage /srv/copy --key recovery.key --point 0b8f... --to /srv/restored
    ```
    """
    if not point or to is None:
        found = means.list_points(storage, key)
        if common.output == "json":
            console.as_json(found)
            return
        rows = [
            (p["id"], p["server"], p["takenAt"][:19], console.size(p["sizeBytes"]), p["problem"])
            for p in found
        ]
        columns = ("point", "server", "taken", "stored", "problem")
        console.table(columns, rows, f"no recovery points below {storage}")
        return
    with console.meter("rescue") as meter:
        done = [0, 0]

        def on_progress(raw: int, fetched: int) -> None:
            done[0] += raw
            done[1] += fetched
            meter.show("Restoring", done[0], 0, done[1])

        told = means.rescue(storage, key, point, to, on_progress)
    if common.output == "json":
        console.as_json(told)
    else:
        console.facts({name: str(value) for name, value in told.items()}, indent="")
