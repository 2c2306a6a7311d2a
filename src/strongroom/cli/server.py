"""Servers that the agent on this machine looks after: add, list, check."""

from typing import Any

from strongroom.cli import connection, conninfo, console
from strongroom.cli import vault as vaults
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.points import short_time
from strongroom.cli.protect import Replaced, Source, examine, register
from strongroom.model import arm
from strongroom.model.errors import NotFound, Precondition, from_dict


def add(
    name: str,
    source: Source,
    /,
    *,
    replace: Replaced = False,
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
    examine(text, data, name)
    with vaults.opened(common, means) as vault:
        vault.ensure_group()
        found = _brief(register(vault, text, data, name, replace=replace), set())
    if common.output == "json":
        console.as_json(found)
    else:
        console.say(f"next: strongroom protect - --name {name} < conninfo.txt")


def list_servers(*, common: Common = COMMON, means: Given) -> None:
    """List the servers, and whether they are protected.

    ```
    strongroom server list
    ```
    """
    with vaults.opened(common, means) as vault:
        protected = {each["name"] for each in vault.instances()}
        found = [_brief(server, protected) for server in vault.servers()]
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            server["name"],
            server["state"],
            server["version"],
            console.size(server["sizeBytes"]),
            "yes" if server["protected"] else "no",
            server["endpoint"],
            server["seenAt"],
        )
        for server in found
    ]
    columns = ("server", "state", "version", "size", "protected", "endpoint", "seen (UTC)")
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
    told = _brief(found, set())
    problems = [from_dict(each) for each in told["problems"]]
    if common.output == "json":
        console.as_json(told)
    else:
        console.say(f"{name} is {told['state']}")
        console.facts(
            {
                "version": told["version"],
                "size": console.size(told["sizeBytes"]),
                "endpoint": told["endpoint"],
                "seen": f"{told['seenAt']} UTC",
            }
        )
    for problem in problems:
        console.note(f"missing: {problem.message}")
        console.note(f"    fix: {problem.hint}")
    if problems or told["state"] != "Ready":
        raise Precondition(
            f"{name} is not ready to be backed up", hint="Do what each `fix` says; look again."
        )


def _brief(server: dict[str, Any], protected: set[str]) -> dict[str, Any]:
    told = server["properties"]
    ours = told["strongroom"]
    return {
        "name": server["name"],
        "state": told["state"],
        "version": f"{told['version']}.{told['minorVersion']}" if told["version"] else "",
        "endpoint": told["fullyQualifiedDomainName"],
        "sizeBytes": int(ours["sizeBytes"]),
        "databases": ours["databases"],
        "problems": ours["problems"],
        "protected": server["name"] in protected,
        "seenAt": short_time(ours["seenAt"]),
    }
