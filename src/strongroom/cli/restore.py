"""Say what a restore would do; do it."""

import shutil
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli import console, following
from strongroom.cli import vault as vaults
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.parts import Wish, cost_of, describe, part_of_request, read_wish
from strongroom.cli.points import choose
from strongroom.cli.vault import Vault
from strongroom.model.errors import Cancelled, Invalid

PointId = Annotated[
    str, Parameter(help="The recovery point, or the beginning of its id. Default: the newest.")
]
Directory = Annotated[
    Path | None, Parameter(help="A new or empty directory on the host of the server's agent.")
]
Database = Annotated[
    str, Parameter(help="Only this database, as a dump file: what is fetched is little more.")
]
Table = Annotated[
    str, Parameter(help="Only this table of --database (schema.table), with its parts.")
]
ToServer = Annotated[
    str, Parameter(help="Load the part into this server, which the same agent looks after.")
]
Rename = Annotated[str, Parameter(help="The new name of the database, or of the table.")]
ToFiles = Annotated[
    Path | None,
    Parameter(help="A new or empty directory for dumps of all databases, roles and tablespaces."),
]
Tablespaces = Annotated[
    list[str] | None,
    Parameter(negative="", help="OLD=NEW: where a tablespace goes; once for each."),
]


def plan(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    point: PointId = "",
    to_dir: Directory = None,
    database: Database = "",
    table: Table = "",
    rename: Rename = "",
    to_files: ToFiles = None,
    prefix: Annotated[str, Parameter(help="What the names of --to-files begin with.")] = "",
    to_server: ToServer = "",
    tablespace: Tablespaces = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Say what a restore would do, and change nothing.

    ```
    strongroom plan orders
    strongroom plan orders --to-dir /srv/restore
    strongroom plan orders --to-dir /srv/part --database shop --table public.item
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        wish = read_wish((to_dir, to_files, to_server), database, table, rename, prefix)
        made = _plan(vault, name, point, wish, _mapping(tablespace))
    _show(made, common)


def restore(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    to_dir: Directory = None,
    point: PointId = "",
    database: Database = "",
    table: Table = "",
    rename: Rename = "",
    to_files: ToFiles = None,
    prefix: Annotated[str, Parameter(help="What the names of --to-files begin with.")] = "",
    to_server: ToServer = "",
    tablespace: Tablespaces = None,
    start: Annotated[
        bool, Parameter(negative="", help="Start PostgreSQL there when it is written.")
    ] = False,
    port: Annotated[int, Parameter(help="Port for --start; 0: as its configuration says.")] = 0,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    wait: Annotated[bool, Parameter(help="Follow the restore to its end.")] = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore a recovery point as a PostgreSQL data directory, or a part of it as dump files.

    Nothing is ever overwritten: the directory must be new or empty, and so must the new place of
    every tablespace. The plan is shown first.

    ```
    strongroom restore orders --to-dir /srv/restore
    strongroom restore orders --to-dir /srv/restore --start --port 5433
    strongroom restore orders --point 3f2a --to-dir /srv/restore --tablespace /srv/fast=/srv/new
    strongroom restore orders --to-dir /srv/part --database shop --table public.item
    strongroom restore orders --to-server orders --database shop --rename shop_then
    strongroom restore orders --to-files /srv/files --prefix monday
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        mapping = _mapping(tablespace)
        wish = read_wish((to_dir, to_files, to_server), database, table, rename, prefix)
        wish.check(start=start, mapping=mapping)
        made = _plan(vault, name, point, wish, mapping)
        request = _request(vault, name, made, mapping, start=start, port=port)
        instance = vault.instance(name)
        vault.rest.post(f"{instance}/validateRestore", {"restoreRequestObject": request})
        if common.output == "table":
            _show(made, common)
        _confirm(yes=yes)
        job = str(vault.rest.post(f"{instance}/restore", request)["jobId"]).rpartition("/")[2]
        if not wait:
            text = f"restore started: strongroom jobs --follow {job}"
            _tell(common, {"job": job, "plan": made}, text)
            return
        done = following.follow(vault, job, f"restore of {name}")
    _finished(common, made, job, done)


def _confirm(*, yes: bool) -> None:
    if not yes and console.is_watched() and not console.confirmed("Restore this?"):
        raise Cancelled("nothing was restored", hint="Answer y, or give --yes.")


def _plan(
    vault: Vault, name: str, point: str, wish: Wish, mapping: dict[str, str]
) -> dict[str, Any]:
    chosen = choose(vault, name, point)
    facts = chosen["facts"]
    server = vault.rest.find(vault.server(name))
    spaces = (server or {}).get("properties", {}).get("strongroom", {}).get("tablespaces") or {}
    to_dir, part = wish.directory, wish.part
    directory = "" if to_dir is None else str(to_dir.absolute())
    warnings = [
        f"tablespace {location} goes back to its own place, which must be empty: "
        f"--tablespace {location}=NEW moves it"
        for location in sorted(spaces.values())
        if location not in mapping and part is None
    ]
    cost = cost_of(chosen, part)
    warnings += cost.warnings
    if to_dir is not None:
        warnings += _warnings_here(to_dir, cost.write_bytes)
    return {
        "server": name,
        "point": chosen["id"],
        "takenAt": chosen["takenAt"],
        "version": chosen["version"],
        "databases": facts.get("databases") or {},
        "writeBytes": cost.write_bytes,
        "readBytes": cost.read_bytes,
        "part": part,
        "toServer": wish.server,
        "directory": directory,
        "tablespaces": mapping,
        "warnings": warnings,
    }


def _warnings_here(directory: Path, count: int) -> list[str]:
    """What this machine shows of the target; the agent decides, and may be on another one."""
    found = []
    if directory.is_dir() and any(directory.iterdir()):
        found.append(f"{directory} is not empty on this machine: the restore will refuse it")
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < count:
        found.append(f"{place} has {console.size(free)} free on this machine: not enough")
    return found


def _request(
    vault: Vault,
    name: str,
    made: dict[str, Any],
    mapping: dict[str, str],
    *,
    start: bool,
    port: int,
) -> dict[str, Any]:
    """ARM's restore request; our own wishes stand under `strongroom`."""
    source = vault.source(name)
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "sourceResourceId": source["resourceID"],
        "recoveryPointId": made["point"],
        "restoreTargetInfo": {
            "objectType": "RestoreTargetInfo",
            "recoveryOption": "FailIfExists",
            "restoreLocation": vault.connection.location,
            "datasourceInfo": {
                **source,
                "resourceProperties": {"objectType": "DefaultResourceProperties"},
            },
            "strongroom": {
                "targetDirectory": made["directory"],
                "tablespaces": mapping,
                "start": start,
                "port": port,
                "part": part_of_request(made["part"]),
            },
        },
        "identityDetails": {"useSystemAssignedIdentity": True},
    }


def _mapping(words: list[str] | None) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for word in words or []:
        old, equals, new = word.partition("=")
        if not equals or not old.startswith("/") or not new.startswith("/"):
            raise Invalid(
                f"{word[:120]!r} does not say where a tablespace goes",
                hint="Write --tablespace /old/place=/new/place.",
            )
        mapping[old] = new
    return mapping


def _show(made: dict[str, Any], common: Common) -> None:
    if common.output == "json":
        console.as_json(made)
        return
    databases = ", ".join(sorted(made["databases"])) or "all"
    shown = {
        "point": f"{made['point']} of {made['takenAt']} UTC",
        "databases": databases,
        "version": f"PostgreSQL {made['version']}",
        "reads": f"at most about {console.size(made['readBytes'])} from the vault",
        "writes": console.size(made["writeBytes"]),
    }
    if made["part"] is not None:
        shown["takes"] = describe(made["part"])
        shown["writes"] = f"at most about {shown['writes']}"
    if made["toServer"]:
        shown["into"] = f"server {made['toServer']}"
    if made["directory"]:
        shown["into"] = made["directory"]
    for old, new in made["tablespaces"].items():
        shown[f"tablespace {old}"] = new
    console.say(f"restore of {made['server']}")
    console.facts(shown)
    for warning in made["warnings"]:
        console.say(f"  warning: {warning}")


def _finished(common: Common, made: dict[str, Any], job: str, done: dict[str, Any]) -> None:
    details = done["properties"]["extendedInfo"]["additionalDetails"]
    steps = [text for key, text in sorted(details.items()) if key.startswith("Next Step")]
    port = int(details.get("Started On Port", 0))
    if port:
        steps.append(f"psql -p {port} postgres")
    warnings = following.warnings_of(done)
    if common.output == "json":
        told = {"job": job, "plan": made, "port": port, "nextSteps": steps, "warnings": warnings}
        console.as_json(told)
        return
    for warning in warnings:
        console.note(f"warning: {warning}")
    running = f"; PostgreSQL runs there on port {port}" if port else ""
    console.say(f"restored {made['server']} into {made['directory'] or made['toServer']}{running}")
    for number, step in enumerate(steps):
        console.say(f"{'next:' if number == 0 else '     '} {step}")


def _tell(common: Common, told: dict[str, Any], text: str) -> None:
    if common.output == "json":
        console.as_json(told)
    else:
        console.say(text)
