"""Start and stop PostgreSQL servers on this host, as an operating system user it accepts."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import TargetError
from strongroom.postgres.tools import Tools


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that a server runs as. PostgreSQL refuses root."""

    name: str
    uid: int
    gid: int

    def options(self) -> dict[str, object]:
        """Arguments of subprocess.run that drop privileges, when there are any to drop."""
        common: dict[str, object] = {"cwd": "/", "umask": 0o077}
        if os.geteuid() != 0:
            return common
        return {**common, "user": self.uid, "group": self.gid, "extra_groups": []}


def server_user(directory: Path | None = None) -> RunAs:
    """Who runs a server: the directory's owner, ourselves, or `postgres`; never root."""
    uid = directory.stat().st_uid if directory is not None and directory.exists() else 0
    if os.geteuid() != 0:
        uid = os.geteuid()
    if uid == 0:
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        found = names.get("postgres") or names.get("nobody")
        if found is None:
            raise TargetError(
                "there is no user to run PostgreSQL as",
                hint="make one: useradd --system postgres",
            )
    else:
        found = pwd.getpwuid(uid)
    return RunAs(found.pw_name, found.pw_uid, found.pw_gid)


def initialise(tools: Tools, directory: Path, *options: str) -> None:
    """initdb into a new directory, trusting local users."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = server_user(directory)
    if os.geteuid() == 0:
        shutil.chown(directory, user.uid, user.gid)
    command = [str(tools.program("initdb")), "-D", str(directory), "-U", "postgres", "-A", "trust"]
    _run([*command, "--no-instructions", *options], user, "initdb")


def start(
    tools: Tools,
    directory: Path,
    *,
    port: int,
    socket_directory: Path | None = None,
    timeout: int = 300,
) -> None:
    """Start and wait until it accepts connections; the end of its log tells why it did not."""
    user = server_user(directory)
    log = directory / "strongroom-start.log"
    sockets = socket_directory or Path("/tmp")  # noqa: S108 - PostgreSQL's own default
    options = f"-k {sockets}" + (f" -p {port}" if port else "")
    command = [str(tools.program("pg_ctl")), "-D", str(directory), "-w", "-t", str(timeout)]
    command += ["-s", "-l", str(log), "-o", options, "start"]
    try:
        _run(command, user, "starting PostgreSQL")
    except TargetError as error:
        words = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        raise TargetError(
            f"PostgreSQL did not start in {directory}: {' | '.join(words[-3:])}",
            hint=f"see {log}",
        ) from error


def stop(tools: Tools, directory: Path, mode: str = "fast") -> None:
    """Stop by the pid in its own directory and wait; mode: smart | fast | immediate."""
    command = [str(tools.program("pg_ctl")), "-D", str(directory), "-w", "-s", "-m", mode, "stop"]
    _run(command, server_user(directory), "stopping PostgreSQL")


def _run(command: list[str], user: RunAs, what: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
        **user.options(),
    )
    if done.returncode:
        words = " ".join(done.stderr.split())[-600:]
        raise TargetError(f"{what} failed: {words}", hint="see the server's log")
