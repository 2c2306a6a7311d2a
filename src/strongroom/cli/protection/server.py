"""Servers that the agent on this machine looks after: add, list, check."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import connection, conninfo, console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.protection import preflight
from strongroom.cli.protection.protect import Replaced, Source
from strongroom.cli.protection.server_settings import words_of
from strongroom.model import arm
from strongroom.model.errors import NotFound, Precondition
from strongroom.model.protection.backup_settings import BackupSettings, settings_of
from strongroom.model.protection.backup_type import FULL
from strongroom.model.work.logical import LOGICAL


def add(
    name: str,
    source: Source,
    /,
    *,
    replace: Replaced = False,
    logical: Annotated[
        bool, Parameter(negative="", help="Dumps only are wanted: what these need is enough.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Register a server without protecting it yet.

    ```
    strongroom server add orders postgresql://backup@db1/postgres
    strongroom server add orders - < conninfo.txt
    ```

    Parameters
    ----------
    name
        3 to 63 letters, digits and hyphens.
    """
    arm.check_name("server", name)
    text = conninfo.read(source)
    data = connection.data_directory(common)
    kind = LOGICAL if logical else FULL
    preflight.examine(text, data, name, kind)
    with vaults.opened(common, means) as vault:
        vault.ensure_group()
        found = preflight.register(vault, text, data, name, replace=replace, kind=kind)
        found = brief(found, {})
    if common.output == "json":
        console.as_json(found)
    else:
        dumps = " --logical" if logical else ""
        console.say(f"next: strongroom protect - --name {name}{dumps} < conninfo.txt")


def list_servers(*, common: Common = COMMON, means: Given) -> None:
    """List the servers, and whether they are protected.

    ```
    strongroom server list
    ```
    """
    with vaults.opened(common, means) as vault:
        protected = {each["name"]: settings_of(each["properties"]) for each in vault.instances()}
        found = [brief(server, protected) for server in vault.servers()]
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            server["name"],
            state_of(server),
            server["version"],
            console.size(server["sizeBytes"]),
            "yes" if server["protected"] else "no",
            server["endpoint"],
            server["seenAt"],
            ", ".join(words_of(protected.get(server["name"], BackupSettings())).values()),
        )
        for server in found
    ]
    columns = (
        *("server", "state", "version", "size"),
        *("protected", "endpoint", "seen (UTC)", "settings"),
    )
    console.table(columns, rows, "no server yet: strongroom protect CONNINFO")


def check(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Show what the agent sees of a server, and everything that it lacks.

    ```
    strongroom server check orders
    ```

    Parameters
    ----------
    name
        The server.
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.find(vault.server(name))
    if found is None:
        raise NotFound(
            f"there is no server named {name!r}", hint="`strongroom server list` shows them."
        )
    told = brief(found, {})
    if common.output == "json":
        console.as_json(told)
    else:
        console.say(f"{name} is {state_of(told)}")
        console.facts(
            {
                "version": told["version"],
                "size": console.size(told["sizeBytes"]),
                "endpoint": told["endpoint"],
                "way": preflight.way_in_words(preflight.facts_in(found)) or "-",
                "seen": f"{told['seenAt']} UTC",
            }
        )
    preflight.tell_problems(preflight.facts_in(found))
    if not told["backups"]:
        raise Precondition(
            f"{name} is not ready to be backed up", hint="Do what each `fix` says; look again."
        )


def state_of(server: dict[str, Any]) -> str:
    """Of a `brief` one, for people."""
    return "Ready for dumps only" if server["backups"] == LOGICAL else str(server["state"])


def brief(server: dict[str, Any], protected: Mapping[str, BackupSettings]) -> dict[str, Any]:
    """A server resource as one flat object; `protected`: those that are, with their settings."""
    told = server["properties"]
    ours = told["strongroom"]
    return {
        "name": server["name"],
        "state": told["state"],
        "version": f"{told['version']}.{told['minorVersion']}" if told["version"] else "",
        "endpoint": ours["endpoint"],
        "sizeBytes": int(ours["sizeBytes"]),
        "databases": ours["databases"],
        "problems": ours["problems"],
        "backups": preflight.best_of(server),
        "protected": server["name"] in protected,
        "settings": protected[server["name"]].to_dict() if server["name"] in protected else None,
        "seenAt": short_time(ours["seenAt"]),
    }
