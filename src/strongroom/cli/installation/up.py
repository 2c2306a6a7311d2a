"""Start, stop: the three processes of one machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.basis import connection, console
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.running import Place, stop_orphans
from strongroom.cli.installation.supervisor import Supervisor, listening_options, prepare
from strongroom.model.errors import Conflict, Failed
from strongroom.model.listening import Listening, read_listening

DETACH_SECONDS = 120.0
DETACHED = "STRONGROOM_DETACHED"  # set for the process behind: its output is a log
PORTAL_PASSWORD = "portal-password"  # noqa: S105 - the file that `serve` leaves it in
DOWN_SECONDS = 90.0


def up(
    *,
    port: Annotated[int | None, Parameter(help="The first of three ports; 0: free ones.")] = None,
    host: Annotated[
        str | None, Parameter(help="The address that API and storage listen on; 0.0.0.0: all.")
    ] = None,
    names: Annotated[
        list[str] | None,
        Parameter(
            name="--name", help="A DNS name or address for others to use; the first is told."
        ),
    ] = None,
    detach: Annotated[
        bool, Parameter(negative="", help="Return when everything is ready.")
    ] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Start strongroom on this machine: storage, control plane and agent.

    The first start makes the directory, the keys and a private certificate authority. Ports are
    8443 (API), 8444 (portal) and 8445 (storage) unless they are taken; a restart keeps them, and
    host and names too. Without --host it is there for this machine alone; with it, for agents on
    others as well, all of it over https. The portal stays on this machine.

    ```
    strongroom up                       in the foreground; Ctrl-C stops it
    strongroom up --detach              in the background
    strongroom up --data /srv/backup    somewhere else
    strongroom up --host 0.0.0.0 --name vault.example.com
    ```
    """
    place = Place(connection.data_directory(common))
    before = place.read().listening
    kept = before.names if host is None else ()  # another address has names of its own
    listening = read_listening(
        before.host if host is None else host, kept if names is None else names
    )
    prepare(place, means)
    holder = place.holder()
    if holder is not None and listening != before:
        raise Conflict(
            f"strongroom is running already (process {holder}) and listens elsewhere",
            hint="`strongroom down` first: it is found at another address from the next start on.",
        )
    if holder is not None and detach:
        console.note(f"strongroom is already running (process {holder})")
        _tell(common)
    elif holder is not None:
        raise Conflict(
            f"strongroom is already running in {place.data} (process {holder})",
            hint="`strongroom status` shows it, `strongroom down` stops it.",
        )
    elif detach:
        _detach(place, port, listening, means)
        _tell(common)
    else:
        _run(place, port, listening, common, means)


def down(*, common: Common = COMMON, means: Given) -> None:
    """Stop strongroom on this machine. A running job goes on at the next start.

    ```
    strongroom down
    ```
    """
    place = Place(connection.data_directory(common))
    holder = place.holder()
    if holder is None:
        orphans = stop_orphans(place, means.clock)
        _told_stopped(common, f"stopped what was left: {', '.join(orphans)}" if orphans else "")
        return
    os.kill(holder, 15)
    deadline = means.clock.monotonic() + DOWN_SECONDS
    while place.holder() is not None:
        if means.clock.monotonic() > deadline:
            raise Failed(
                f"process {holder} did not stop in {DOWN_SECONDS:.0f} seconds",
                hint=f"Look into {place.logs}; `kill -9 {holder}` is safe: nothing is lost.",
            )
        means.clock.sleep(0.1)
    _told_stopped(common, "stopped")


def _told_stopped(common: Common, how: str) -> None:
    if common.output == "json":
        console.as_json({"running": False, "stopped": bool(how)})
    else:
        console.say(how or "strongroom was not running")


def _run(
    place: Place, port: int | None, listening: Listening, common: Common, means: Means
) -> None:
    lock = place.hold()
    if lock is None:
        raise Conflict(
            "another `strongroom up` has just started here",
            hint="`strongroom status` shows it.",
        )
    try:
        for name in stop_orphans(place, means.clock):
            console.note(f"ended a {name} process that an earlier run had left")
        first = not place.recovery_key.exists()
        supervisor = Supervisor(place, means, console.note)
        console.note("starting storage, control plane and agent ...")
        supervisor.run(listening, port, lambda: _ready(place, common, first=first))
        console.note("strongroom has stopped")
    finally:
        os.close(lock)


def _ready(place: Place, common: Common, *, first: bool) -> None:
    _tell(common)
    if first:
        console.note(
            f"keep a copy of {place.recovery_key} somewhere else: with it and the storage alone, "
            "`strongroom rescue` restores everything; without it nobody can. "
            "`strongroom keys kit` puts it on paper, in shares if you wish"
        )


def _detach(place: Place, port: int | None, listening: Listening, means: Means) -> None:
    log = place.logs / "up.log"
    command = [sys.executable, "-m", "strongroom", "up", "--data", str(place.data)]
    command += listening_options(listening)
    if port is not None:
        command += ["--port", str(port)]
    first = not place.recovery_key.exists()
    with log.open("ab") as out:
        begin = out.tell()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={**os.environ, DETACHED: "1"},
        )
    deadline = means.clock.monotonic() + DETACH_SECONDS
    while not (place.holder() == child.pid and place.read().ready):
        if child.poll() is not None:
            raise _died(log, begin)
        if means.clock.monotonic() > deadline:
            child.terminate()
            raise Failed("strongroom was not ready in two minutes", hint=f"Its log is {log}.")
        means.clock.sleep(0.1)
    for line in _lines(log, begin):
        if line.startswith("port ") or (first and line.startswith("keep a copy")):
            console.note(line)


def _died(log: Path, begin: int) -> Failed:
    told = [line.removeprefix("error: ") for line in _lines(log, begin) if "error: " in line]
    fact = told[-1] if told else "strongroom ended before it was ready"
    return Failed(fact, hint=f"Its logs are in {log.parent}.")


def _lines(log: Path, begin: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace").splitlines()


def _tell(common: Common) -> None:
    found = connection.load(common)
    place = connection.data_directory(common)
    told = {
        "portal": found.portal,
        "arm": found.arm,
        "data": str(place),
        "connection": str(place / connection.FILE),
    }
    password = "" if os.environ.get(DETACHED) else _portal_password(place)
    if common.output == "json":
        first = {"portalUser": "admin", "portalPassword": password} if password else {}
        console.as_json(told | first)
        return
    console.say("strongroom is up")
    console.facts(
        {"portal": found.portal, "API": f"{found.arm} (CA: {found.ca})", "data": str(place)}
    )
    if password:
        console.say(f"sign in to the portal as admin, password {password} (told this once)")
    console.say("next: strongroom protect 'postgresql://user@host/postgres'")


def _portal_password(place: Path) -> str:
    """What the first start has made up; it is nowhere else from now on, but for its digest."""
    file = place / PORTAL_PASSWORD
    try:
        password = file.read_text().strip()
    except FileNotFoundError:
        return ""
    file.unlink()
    return password
