"""Start and stop PostgreSQL servers on this host, as an operating system user it accepts."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from strongroom.model.errors import TargetError
from strongroom.postgres.server import no_network
from strongroom.postgres.server.tools import Tools
from strongroom.postgres.server.wrapper import becomes

_LOG = "strongroom-start.log"
PREFIX = "strongroom-"
_LOOK_SECONDS = 0.005  # pg_ctl looks ten times a second, and runs `postgres -V` before
# Whoever ends the shell leaves the server to itself.
_START = 'log=$1; shift; "$@" >>"$log" 2>&1 & wait $!'
# Source: PostgreSQL manual, "Shutting Down the Server".
_STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_ACCEPTS = ("ready", "standby")  # in postmaster.pid; src/include/utils/pidfile.h
_TOO_LONG = 124  # as timeout(1) says it
_SOCKET_PATH_BYTES = 90  # sun_path is 108, less `/.s.PGSQL.65535`


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that a server runs as. PostgreSQL refuses root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Enough:
    """What is waited for, instead of a process's end, and how long."""

    holds: Callable[[], bool]
    seconds: float


class Drop(TypedDict, total=False):
    """What `subprocess` takes to run a program as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    directory: Path
    port: int
    socket_directory: Path
    pid: int

    @property
    def conninfo(self) -> str:
        """How to reach it over its socket, as the superuser that `initialise` made."""
        return f"host={self.socket_directory} port={self.port} user=postgres dbname=postgres"


def find_user(*, uid: int | None = None, name: str = "") -> RunAs | None:
    """A user of this host by number or name; None when there is none."""
    try:
        entry = pwd.getpwnam(name) if uid is None else pwd.getpwuid(uid)
    except KeyError:
        return None
    return RunAs(entry.pw_name, entry.pw_uid, entry.pw_gid)


def server_user(directory: Path | None = None) -> RunAs:
    """Who runs a server: ourselves; for root the directory's owner, `postgres` or `nobody`."""
    uid = os.geteuid()
    if uid == 0 and directory is not None and directory.exists():
        uid = directory.stat().st_uid
    found = find_user(uid=uid) if uid else find_user(name="postgres") or find_user(name="nobody")
    if found is None:
        raise TargetError(
            "there is no user to run PostgreSQL as",
            hint="Make one: useradd --system postgres",
        )
    return found


@contextmanager
def scratch_directory(prefix: str = PREFIX, within: Path | None = None) -> Iterator[Path]:
    """A short-lived directory, owned by the server's user, under the system's temporary one."""
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=within, ignore_cleanup_errors=True
    ) as name:
        path = Path(name)
        if os.geteuid() == 0:
            user = server_user()
            shutil.chown(path, user.uid, user.gid)
        yield path


def initialise(tools: Tools, directory: Path, *options: str) -> None:
    """initdb into a new directory: superuser postgres, local users trusted, UTF-8."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = server_user(directory)
    if os.geteuid() == 0:
        shutil.chown(directory, user.uid, user.gid)
    command = [str(tools.program("initdb")), "-D", str(directory), "-U", "postgres", "-A", "trust"]
    _must_run([*command, "-E", "UTF8", "--no-instructions", *options], user, "initdb")


def start(
    tools: Tools,
    directory: Path,
    *,
    port: int = 0,
    socket_directory: Path | None = None,
    timeout: int = 300,
    network: bool = True,
) -> Running:
    """Start and wait until it accepts connections (recovery included).

    Without `network` it has none, where this host allows that (no_network.py). Without port and
    `socket_directory` those of its own configuration hold. Raises TargetError with the last lines
    of its log; a server that is not ready in time is stopped again.
    """
    user = server_user(directory)
    options = ["-p", str(port)] if port else []
    if socket_directory is not None:
        if len(os.fsencode(socket_directory)) > _SOCKET_PATH_BYTES:
            raise TargetError(f"{socket_directory} is too long a path for a socket")
        options += ["-c", f"unix_socket_directories={socket_directory}"]
    program = [str(tools.program("postgres")), "-D", str(directory), *options]
    command = ["/bin/sh", "-c", _START, "sh", str(directory / _LOG), *program]
    before = _pid_file(directory)

    def accepts() -> bool:
        now = _pid_file(directory)
        return now[:3] != before[:3] and len(now) > 7 and now[7].strip() in _ACCEPTS

    code, said = _run(command, user, network=network, enough=Enough(accepts, timeout))
    if code:
        late = [f"it was not ready within {timeout} s"] if code == _TOO_LONG else []
        words = " | ".join([*late, *(last_words(directory) or [said])])
        if _pid_file(directory)[:3] not in ([], before[:3]):  # one that ran before is not ours
            stop(tools, directory, "immediate")
        raise TargetError(
            f"PostgreSQL did not start in {directory}: {words}", hint=f"See {directory / _LOG}."
        )
    return running(directory)


def configured_port(tools: Tools, directory: Path) -> int:
    """Of a server that does not run, as its configuration says; 0 where that cannot be read."""
    said = configured(tools, directory, "port")
    return int(said) if said.isdigit() else 0


def configured(tools: Tools, directory: Path, setting: str) -> str:
    """A setting of a server that does not run; empty where its configuration cannot be read."""
    command = [str(tools.program("postgres")), "-C", setting, "-D", str(directory)]
    code, said = _run(command, server_user(directory))
    return "" if code else said


def socket_path(place: str, port: int) -> str:
    """Of the socket of a server's port in a directory, as the socket module takes it.

    A directory that begins with @ is an abstract name.
    Source: PostgreSQL src/include/libpq/pqcomm.h.
    """
    path = f"{place}/.s.PGSQL.{port}"
    return f"\0{path[1:]}" if path.startswith("@") else path


def running(directory: Path) -> Running:
    """The server whose postmaster.pid lies in a data directory; TargetError when there is none.

    Source: PostgreSQL src/include/utils/pidfile.h.
    """
    lines = _pid_file(directory)
    try:
        return Running(directory, int(lines[3]), Path(lines[4] or lines[5]), int(lines[0]))
    except (ValueError, IndexError) as error:
        raise TargetError(f"no server runs in {directory}") from error


def _pid_file(directory: Path) -> list[str]:
    """Its lines: pid, directory, time of start .. state; none where it cannot be read."""
    try:
        text = (directory / "postmaster.pid").read_text(errors="surrogateescape")
    except OSError:
        return []
    return text.splitlines()


def is_running(tools: Tools, directory: Path) -> bool:
    """Whether a server runs in a data directory: what `pg_ctl status` says."""
    command = [str(tools.program("pg_ctl")), "-D", str(directory), "status"]
    return _run(command, server_user(directory))[0] == 0


def stop(tools: Tools, directory: Path, mode: str = "fast", *, timeout: int = 60) -> None:
    """Stop by the pid in its own directory and wait; mode: smart | fast | immediate."""
    with _postmaster(directory) as process:
        if process is None:
            command = [str(tools.program("pg_ctl")), "-D", str(directory), "-w", "-s"]
            command += ["-t", str(timeout), "-m", mode, "stop"]
            _must_run(command, server_user(directory), "stopping PostgreSQL")
            return
        try:
            signal.pidfd_send_signal(process, _STOPS[mode])
        except PermissionError as error:
            raise TargetError(
                f"the server in {directory} is another user's, and cannot be stopped",
                hint="Run the agent as that user, or stop it by hand: pg_ctl stop.",
            ) from error
        except ProcessLookupError:
            return  # it has ended in this moment
        ended = select.poll()
        ended.register(process, select.POLLIN)
        if not ended.poll(timeout * 1000):
            raise TargetError(
                f"the server in {directory} was asked to stop, and has not within {timeout} s",
                hint="Its log says what it waits for; pg_ctl stop -m immediate ends it at once.",
            )


@contextmanager
def _postmaster(directory: Path) -> Iterator[int | None]:
    """The process itself, which can be read once it has ended; None where that cannot be had.

    It works in its data directory: a pid that means another process by now does not.
    Source: pidfd_open(2), proc(5).
    """
    pid = (_pid_file(directory) or [""])[0]
    descriptor = -1
    with suppress(OSError, ValueError, AttributeError):
        descriptor = os.pidfd_open(int(pid))
    try:
        yield descriptor if descriptor >= 0 and _works_in(directory, pid) else None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _works_in(directory: Path, pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except OSError:
        return False


def start_log(directory: Path) -> Path:
    """Where a server that `start` started writes what it has to say."""
    return directory / _LOG


def last_words(directory: Path, lines: int = 4) -> list[str]:
    """The end of a server's start log."""
    log = directory / _LOG
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace").strip().splitlines()[-lines:]


def drop_to(user: RunAs) -> Drop:
    """For root, the words that run a program as a user; nothing for everybody else."""
    if os.geteuid() != 0:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def command_as(user: RunAs, command: Sequence[str]) -> tuple[list[str], Drop]:
    """A command, and what `subprocess` takes beside it, so that it runs as a user."""
    words = becomes(user.uid, user.gid) if os.geteuid() == 0 else ()
    return [*words, *command], {} if words else drop_to(user)


def _must_run(command: list[str], user: RunAs, what: str) -> None:
    code, said = _run(command, user)
    if code:
        raise TargetError(f"{what} failed: {said}", hint="See the server's log.")


def _run(
    command: list[str],
    user: RunAs,
    *,
    network: bool = True,
    enough: Enough | None = None,
) -> tuple[int, str]:
    """Run as the server's user -> exit code, and the end of what it said; `enough` as `_ended`."""
    before = () if network else no_network.words_before(user.uid, user.gid)
    as_user, drop = ([*before, *command], Drop()) if before else command_as(user, command)
    # Not a pipe: the server would inherit it and keep it open after pg_ctl has ended.
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            as_user,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            cwd="/",
            umask=0o077,
            start_new_session=True,
            **drop,
        )
        code = _ended(process, enough)
        words.seek(0)
        return code, " ".join(words.read().decode(errors="replace").split())[-600:]


def _ended(process: "subprocess.Popen[bytes]", enough: Enough | None) -> int:
    """Its exit code; 0 once there is `enough` of it. No process is left, whatever happens."""
    try:
        if enough is None:
            return process.wait()
        for _ in range(round(enough.seconds / _LOOK_SECONDS)):
            if enough.holds():
                return 0
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_SECONDS) or 1  # nobody ends before there is enough
        return _TOO_LONG
    finally:
        process.kill()
        process.wait()
