"""PostgreSQL servers: add, list, check. Connection strings go to the agent alone, by a pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from strongroom.cli import connection, console
from strongroom.cli.client import Client
from strongroom.cli.means import COMMON, Common, Given, Means
from strongroom.model.errors import Failed, Invalid, Precondition, from_dict

SEEN_SECONDS = 60.0


def add(name: str, conninfo: str, *, common: Common = COMMON, means: Given) -> None:
    """Register a PostgreSQL server with this machine's agent.

    CONNINFO is a URI or "host=... user=..."; `-` reads it from standard input. A password is
    better kept in ~/.pgpass.

    ```
    strongroom server add shop postgresql://backup@db1/postgres
    ```
    """
    found = connection.load(common)
    text = read_conninfo(conninfo)
    with Client(found, means.clock, means.chance) as client:
        register(client, found.data_directory, name, text, means)
    console.say(f"server {name} is registered")
    console.say(f"next: strongroom server check {name}")


def list_(*, common: Common = COMMON, means: Given) -> None:
    """List the registered servers and whether they are ready to be backed up.

    ```
    strongroom server list
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        rows = client.values(client.server("").rstrip("/"))
    if common.output == "json":
        console.as_json(rows)
        return
    told = [
        (
            row["name"],
            row["properties"]["state"],
            row["properties"]["version"],
            console.size(row["properties"]["strongroom"]["sizeBytes"]),
            row["properties"]["fullyQualifiedDomainName"],
        )
        for row in rows
    ]
    columns = ("name", "state", "version", "size", "endpoint")
    console.table(columns, told, "no servers yet: strongroom server add NAME CONNINFO")


def check(name: str, *, common: Common = COMMON, means: Given) -> None:
    """Say everything that keeps a server from being backed up, and how to mend it.

    ```
    strongroom server check shop
    ```
    """
    with Client(connection.load(common), means.clock, means.chance) as client:
        row = client.get(client.server(name))
        if common.output == "json":
            console.as_json(row)
            return
        tell_problems(row["properties"]["strongroom"]["problems"])
        client.post(f"{client.server(name)}/ltrPreBackup", {})
    console.say(f"{name} is ready to be backed up")


def read_conninfo(text: str) -> str:
    """From the argument, or from standard input for `-`."""
    found = sys.stdin.read(4097).strip() if text == "-" else text.strip()
    if not found or len(found) > 4096:
        raise Invalid(
            "the connection string is empty or too long",
            hint="write it as postgresql://user@host:5432/postgres",
        )
    return found


def preflight(conninfo: str) -> dict[str, Any]:
    """What the agent would see of a server: ServerFacts. The string goes by a pipe."""
    told: dict[str, Any] = json.loads(_agent(["check", "--conninfo-stdin"], conninfo))
    return told


def tell_problems(problems: list[dict[str, Any]]) -> None:
    """Each thing that is missing, with its remedy; raises Precondition when there is any."""
    if not problems:
        return
    for problem in problems:
        console.note(f"missing: {problem['message']}")
        if problem.get("hint"):
            console.note(f"   mend: {problem['hint']}")
    raise Precondition(
        "the server is not ready to be backed up",
        hint="mend what is missing above, then run the same command again",
    )


def register(client: Client, data: str, name: str, conninfo: str, means: Means) -> None:
    """The agent gets the string, the control plane the name. Safe twice."""
    agent = Path(data) / "agent"
    _agent(["add", name, "--replace", "--data", str(agent)], conninfo)
    group = {"location": client.found.location}
    client.put(client.group, group)
    wish = {"strongroom": {"agentServer": name}}
    client.put(client.server(name), {**group, "properties": wish})
    deadline = means.clock.monotonic() + SEEN_SECONDS
    while True:
        row = client.get(client.server(name))["properties"]
        if row["state"] == "Ready" or row["strongroom"]["problems"]:
            tell_problems(row["strongroom"]["problems"])
            return
        if means.clock.monotonic() > deadline:
            raise Failed(
                f"the agent has not reported on {name} for a minute",
                hint="see whether it runs: strongroom status",
            )
        means.clock.sleep(0.3)


def _agent(words: list[str], conninfo: str) -> str:
    command = [sys.executable, "-m", "strongroom", "agent", *words]
    done = subprocess.run(
        command, input=conninfo, capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        lines = dict(line.split(": ", 1) for line in done.stderr.splitlines() if ": " in line)
        raise from_dict(
            {
                "kind": "Invalid" if done.returncode == 2 else "Failed",
                "message": lines.get("error", "the agent's command failed"),
                "hint": lines.get("hint", ""),
            }
        )
    return done.stdout
