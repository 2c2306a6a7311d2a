"""Drills: restore recovery points into throw-away servers, and see what was found."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.vault import Vault
from strongroom.cli.points.points import PointId, choose
from strongroom.model.errors import NotFound
from strongroom.model.work.drill import (
    HOST_NETWORK,
    NO_NETWORK,
    Assertion,
    DrillResult,
    by_name,
    read_assertions,
)

app = App(name="drill")  # a command and a group in one
_NETWORK = {
    NO_NETWORK: "none: its server could reach nothing",
    HOST_NETWORK: "its server took none, but this host's was in reach: unshare(1) is not allowed",
}
_SHOWN = 20  # problems, and tables, of one drill


@app.default
def drill(
    name: str,
    /,
    *,
    point: PointId = "",
    check: Annotated[
        Path | None,
        Parameter(help="A file of queries that must answer true, beside those of the agent."),
    ] = None,
    wait: Annotated[
        bool, Parameter(negative="", help="Wait for the verdict; 1 when it has failed.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore a recovery point into a throw-away server, and see whether it is what it was.

    The agent restores it beside its servers, without network and with its tablespaces apart, lets
    it recover, reads every table and index with amcheck, counts the rows, and asks the assertions:
    its own (`strongroom agent assertions`) and those of the file, of which each query ends with a
    semicolon; `-- name: ...` and `-- database: ...` speak of what follows. Nothing of it is left.
    What was found is signed evidence on the point; a point that fails holds the expiry of its
    elders.

    ```
    strongroom drill orders --wait
    strongroom drill orders --point 0f3d1c --check orders.sql --wait
    strongroom drill show orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    asked = [] if check is None else _read(check)
    body = {"assertions": msgspec.to_builtins(asked)} if asked else {}
    with vaults.opened(common, means) as vault:
        found = choose(vault, name, point)["id"]
        path = f"{vault.instance(name)}/recoveryPoints/{found}/drill"
        job = str(vault.rest.post(path, body)["jobId"]).rpartition("/")[2]
        if not wait:
            _tell_begun(common, name, found, job)
            return
        done = following.follow(vault, job, f"drill of {found[:8]}")
        for told in following.warnings_of(done):
            console.note(f"warning: {told}")
        (mine,) = [each for each in _drills(vault, name) if each["name"] == job]
    _tell(common, [mine])


@app.command
def show(
    name: str,
    /,
    *,
    point: Annotated[str, Parameter(help="Of this point alone, or the beginning of its id.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Show what drills of a server's recovery points have found, the newest first.

    ```
    strongroom drill show orders
    strongroom drill show orders --output json
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        found = [
            each
            for each in _drills(vault, name)
            if each["properties"]["recoveryPointId"].startswith(point.lower())
        ]
    if not found and common.output == "table":
        console.say(f"{name} has not been drilled: strongroom drill {name} --wait")
        return
    _tell(common, found)


def _read(file: Path) -> list[Assertion]:
    try:
        return read_assertions(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{file} cannot be read", hint="Name a file of queries.") from error


def _drills(vault: Vault, name: str) -> list[dict[str, Any]]:
    vault.need_instance(name)
    return vault.rest.list(f"{vault.instance(name)}/drills")


def _tell_begun(common: Common, name: str, point: str, job: str) -> None:
    if common.output == "json":
        console.as_json({"point": point, "job": job})
        return
    console.say(f"drill of {point} begun: strongroom jobs --follow {job}")
    console.say(f"what it finds: strongroom drill show {name}")


def _tell(common: Common, found: list[dict[str, Any]]) -> None:
    if common.output == "json":
        console.as_json([{"job": each["name"], **each["properties"]} for each in found])
        return
    for each in found:
        _tell_one(each["properties"])


def _tell_one(told: dict[str, Any]) -> None:
    result = msgspec.convert(told["result"], DrillResult)
    at = short_time(told["endedAt"])
    console.say(f"{told['verdict']}: recovery point {told['recoveryPointId']}, {at} UTC")
    for problem in result.problems[:_SHOWN]:
        console.say(f"  wrong: {problem}")
    for warning in result.warnings:
        console.say(f"  not tried: {warning['message']}")
    true = len(result.answers) - len(list(by_name(result.answers)))
    tables = len(result.tables) + result.more_tables
    console.facts(
        {
            "ready after": f"{result.ready_seconds:.1f} s, {console.size(result.written_bytes)}",
            "server": f"PostgreSQL {result.server_version}" if result.server_version else "none",
            "checked": f"{result.relations} tables and {result.indexes} indexes by amcheck",
            "counted": f"{result.rows} rows in {tables} tables of {result.databases} databases",
            "assertions": f"{true} of {len(result.answers)} true",
            "network": _NETWORK.get(result.network, "not told"),
            "evidence": told["evidence"],
        }
    )
