"""Start a restored server, or say exactly how it is started."""

import errno
import os
import shlex
import socket
from pathlib import Path

import msgspec
import structlog

from strongroom.model.errors import TargetError, TargetRefused, ToolsMissing
from strongroom.model.work.operation import RestoreResult
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import Tools, find_tools

START_SECONDS = 600
_SOCKET_SECONDS = 5
RECOVERY_SECONDS = 7 * 86_400  # through as much log as was asked for


def tools_for(major: int) -> Tools:
    """The programs that start it; ToolsMissing says how to get them."""
    return find_tools(major)


def check_port(port: int, address: str = "127.0.0.1") -> None:
    """Raises TargetRefused when somebody listens there already. No address: on any."""
    try:
        with socket.create_server((address, port)):
            return
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return  # the server's own words will say more
        raise TargetRefused(
            f"port {port} is taken on this host", hint="Name another one: --port."
        ) from error


def free_port() -> int:
    """One of this host that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def port_beside_others(directory: Path) -> int:
    """Where a restored server can listen: 0, as it is configured, or another where that is taken.

    Nobody who asked for no port is told at the end that the source's own is taken, by the source.
    """
    tools = tools_for(major_in(directory))
    configured = scratch.configured_port(tools, directory)
    places = scratch.configured(tools, directory, "unix_socket_directories").split(",")
    try:
        check_port(configured, address="")
    except TargetRefused:
        return free_port()
    sockets = [scratch.socket_path(place.strip().strip('"'), configured) for place in places]
    return free_port() if any(map(_answers, sockets)) else 0


def _answers(path: str) -> bool:
    """Whether a server is behind a socket: what one that was killed has left refuses us."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SOCKET_SECONDS)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError:  # it is full, or somebody's who lets us not in
            return True
    return True


def start_restored(
    directory: Path, port: int, result: RestoreResult, *, seconds: int = START_SECONDS
) -> RestoreResult:
    """Start it and wait until it accepts connections. One that runs already is as good.

    Raises TargetError with the end of the server's log when it does not start. Steps that had
    been next stay told; in place of the start it is how to look inside.
    """
    tools = tools_for(major_in(directory))
    if not scratch.is_running(tools, directory):
        scratch.start(tools, directory, port=port, timeout=seconds)
    running = scratch.running(directory)
    sockets = shlex.quote(str(running.socket_directory))
    steps = [*result.next_steps[:-1], f"psql -h {sockets} -p {running.port} postgres"]
    return msgspec.structs.replace(result, started=True, port=running.port, next_steps=steps)


def stop_restored(directory: Path) -> None:
    """At once, as it is given up; nothing where none runs there."""
    tools = tools_for(major_in(directory))
    if scratch.is_running(tools, directory):
        try:
            scratch.stop(tools, directory, "immediate")
        except TargetError as error:  # it may have ended by itself meanwhile
            log = structlog.get_logger("strongroom.agent")
            told = "a restore was cancelled, and its server could not be stopped: stop it by hand"
            log.warning(told, directory=str(directory), why=error.message)


def next_steps(directory: Path, major: int, port: int) -> list[str]:
    """The one command line that starts it, as the user that owns the directory."""
    try:
        program = str(find_tools(major).program("pg_ctl"))
    except ToolsMissing:
        program = f"/usr/lib/postgresql/{major}/bin/pg_ctl"
    place = shlex.quote(str(directory))
    log = shlex.quote(str(directory / "server.log"))
    options = f" -o '-p {port}'" if port else ""
    command = f"{program} -D {place} -w -l {log}{options} start"
    owner = scratch.server_user(directory)
    if os.geteuid() == 0:
        command = f"runuser -u {owner.name} -- {command}"
    return [command]


def major_in(directory: Path) -> int:
    """PG_VERSION of a data directory."""
    return int((directory / "PG_VERSION").read_text().strip())
