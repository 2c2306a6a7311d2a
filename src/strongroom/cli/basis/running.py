"""The running installation: DIR/up.pid (who holds it), DIR/up.json (its children and ports).

The lock on `up.pid` is the truth: whoever holds it runs the installation, and its pid is inside.
A process that died without stopping its children leaves them in `up.json`; pid and start time
together tell them from strangers who got the same pid.
"""

import fcntl
import os
import signal
from pathlib import Path

import msgspec

from strongroom.model.errors import Failed
from strongroom.model.listening import Listening
from strongroom.model.seams import Clock

PORTS = ("https", "portal", "store")
DEFAULT_PORT = 8443


class Child(msgspec.Struct, kw_only=True):
    """One process. `started` is its start time in clock ticks since boot, "" if not known."""

    pid: int
    started: str


class Running(msgspec.Struct, rename="camel", kw_only=True):
    """`up.json`: what a restart and `status` need to know."""

    ports: dict[str, int] = {}
    listening: Listening = Listening()
    children: dict[str, Child] = {}
    ready: bool = False


class Place:
    """The files of an installation that `up` owns."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.pid_file = data / "up.pid"
        self.state_file = data / "up.json"
        self.connection = data / "connection.json"
        self.account_key = data / "store" / "account.key"
        self.recovery_key = data / "recovery.key"
        self.enrol_token = data / "enrol.token"
        self.logs = data / "logs"

    def read(self) -> Running:
        """What the last `up` wrote; empty when there was none or it was cut short."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=Running)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Running()

    def write(self, state: Running) -> None:
        """Replace it as a whole."""
        write_private(self.state_file, msgspec.json.format(msgspec.json.encode(state)))

    def holder(self) -> int | None:
        """The pid of the `up` that runs this installation; None when nobody does."""
        try:
            descriptor = os.open(self.pid_file, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32).strip()
            return int(text) if text.isdigit() else 0
        finally:
            os.close(descriptor)
        return None

    def hold(self) -> int | None:
        """Take the lock for the life of this process: its descriptor; None when it is taken."""
        descriptor = os.open(self.pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor


def write_private(path: Path, content: bytes) -> None:
    """A file of mode 0600, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def start_time(pid: int) -> str:
    """When a process began, by the kernel's count; "" when it is gone or cannot be asked.

    Source: proc(5), /proc/PID/stat, field 22; the name in parentheses may hold spaces.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def lives(child: Child) -> bool:
    """Whether this very process is still there."""
    return bool(child.started) and start_time(child.pid) == child.started


def stop_orphans(place: Place, clock: Clock, seconds: float = 20.0) -> list[str]:
    """End the children of an `up` that died without doing so; the names of those that lived."""
    state = place.read()
    found = {name: child for name, child in state.children.items() if lives(child)}
    for name in ("agent", "serve", "store"):
        if name in found:
            _end(name, found[name], clock, seconds)
    if state.children:
        state.children, state.ready = {}, False
        place.write(state)
    return sorted(found)


def _end(name: str, child: Child, clock: Clock, seconds: float) -> None:
    for sign, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(child.pid, sign)
        except ProcessLookupError:
            return
        deadline = clock.monotonic() + wait
        while clock.monotonic() < deadline:
            if not lives(child):
                return
            clock.sleep(0.05)
    raise Failed(f"the {name} process {child.pid} cannot be ended", hint="Look at it with ps.")
