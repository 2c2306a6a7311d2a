"""`up` itself: three children in their order, ports that stay, a graceful end."""

import base64
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from strongroom.cli.basis.means import Means
from strongroom.cli.basis.running import DEFAULT_PORT, PORTS, Place, write_private
from strongroom.cli.installation.child import Process, Ready
from strongroom.model.errors import Precondition
from strongroom.model.listening import LOOPBACK, Listening, at

ACCOUNT = "strongroom"
TICK = 0.1
END_SECONDS = 20.0


class Supervisor:
    """Starts store, serve and agent, keeps them alive, ends them in the reverse order."""

    def __init__(self, place: Place, means: Means, note: Callable[[str], None]) -> None:
        self._place = place
        self._clock = means.clock
        self._issue_certificate = means.issue_certificate
        self._note = note
        self._stop = False
        self._state = place.read()
        self._processes = [
            self._process("store", self._store),
            self._process("serve", self._serve),
            self._process("agent", self._agent),
        ]

    def run(self, listening: Listening, asked: int | None, on_ready: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT. `asked`: the first of three ports; 0 takes free ones.

        Raises Failed when a child cannot be kept alive; then the others are ended too.
        """
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, self._ask_to_stop)
        self._state.listening = listening
        self._choose_ports(asked)
        try:
            for process in self._processes:
                process.start()
                self._remember()
                self._wait_until_ready(process)
            if not self._stop:
                self._remember(ready=True)
                on_ready()
            while not self._stop:
                self._tend(self._processes)
                self._clock.sleep(TICK)
        finally:
            self._end_all()

    @contextmanager
    def store_alone(self) -> Iterator[str]:
        """The storage endpoint without the others, on a free port of this machine: its URL.

        What a restart goes by stays as it is. Raises Failed when it cannot be kept alive.
        """
        before = self._place.read()
        self._state.listening = Listening()
        self._choose_ports(0)
        store = self._processes[0]
        try:
            store.start()
            self._wait_until_ready(store)
            yield self._store_url()
        finally:
            store.ask_to_end()
            store.end(END_SECONDS)
            self._place.write(before)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True

    def _process(self, name: str, arguments: Callable[[], Sequence[str]]) -> Process:
        directory = self._place.data / name
        return Process(name, directory, self._place.logs / f"{name}.log", arguments, self._clock)

    def _tend(self, processes: Sequence[Process]) -> None:
        for process in processes:
            if process.tend():
                self._note(f"{process.name} had ended and was started again")
                self._remember(ready=self._state.ready)

    def _wait_until_ready(self, process: Process) -> None:
        upto = self._processes[: self._processes.index(process) + 1]
        while not self._stop:
            ready = process.ready()
            if ready is not None:
                self._learn_ports(process.name, ready)
                return
            self._tend(upto)
            self._clock.sleep(TICK / 2)

    def _learn_ports(self, name: str, ready: Ready) -> None:
        if name == "store":
            self._state.ports["store"] = ready.port
        elif name == "serve":
            self._state.ports["https"] = ready.port
            self._state.ports["portal"] = ready.portal_port
        self._remember()

    def _remember(self, *, ready: bool = False) -> None:
        self._state.ready = ready
        found = {process.name: process.identity() for process in self._processes}
        self._state.children = {name: child for name, child in found.items() if child}
        self._place.write(self._state)

    def _end_all(self) -> None:
        for process in reversed(self._processes):
            process.ask_to_end()
            if not process.end(END_SECONDS):
                self._note(f"{process.name} did not end in {END_SECONDS:.0f} s and was killed")
        self._remember()

    def _choose_ports(self, asked: int | None) -> None:
        for offset, name in enumerate(PORTS):
            wanted = self._state.ports.get(name, DEFAULT_PORT + offset)
            if asked is not None:
                wanted = asked + offset if asked else 0
            found = self._free(name, wanted)
            # A free port that is chosen here may be taken by the time it is used: the child that
            # listens chooses, and says which.
            self._state.ports[name] = found if wanted else 0

    def _free(self, name: str, wanted: int) -> int:
        host = LOOPBACK if name == "portal" else self._state.listening.host
        if wanted and _bound(host, wanted):
            return wanted
        found = _bound(host, 0)
        if not found:
            raise Precondition(
                f"{host} is no address of this machine",
                hint="name one with --host, or 0.0.0.0 for all of them",
            )
        if wanted:
            self._note(f"port {wanted} ({name}) is taken: using {found}")
        return found

    def _store(self) -> list[str]:
        place, listening = self._place, self._state.listening
        home = place.data / "store"
        command = ["store", "--data", str(home), "--account-key", str(place.account_key)]
        command += ["--port", str(self._state.ports["store"]), "--host", listening.host]
        if not listening.is_local:
            files = self._issue_certificate(place.data / "serve", listening, home)
            command += ["--certificate", str(files[0]), "--certificate-key", str(files[1])]
        return command

    def _store_url(self) -> str:
        listening, port = self._state.listening, self._state.ports["store"]
        if listening.is_local:
            return f"{at('http', LOOPBACK, port)}/{ACCOUNT}"
        return f"{at('https', listening.public(socket.gethostname()), port)}/{ACCOUNT}"

    def _serve(self) -> list[str]:
        place, ports = self._place, self._state.ports
        command = ["serve", "--data", str(place.data / "serve")]
        command += ["--store-url", self._store_url()]
        command += ["--account-key", str(place.account_key)]
        command += ["--port", str(ports["https"]), "--portal-port", str(ports["portal"])]
        command += ["--connection", str(place.connection)]
        command += ["--recovery-key", str(place.recovery_key)]
        command += ["--agent-enrol", str(place.enrol_token)]
        return [*command, *listening_options(self._state.listening)]

    def _agent(self) -> list[str]:
        place, state = self._place, self._state
        command = ["agent", "run", "--data", str(place.data / "agent")]
        command += ["--control", at("https", state.listening.near, state.ports["https"])]
        command += ["--ca", str(place.data / "serve" / "ca.pem")]
        return [*command, "--enrol", str(place.enrol_token)]


def listening_options(listening: Listening) -> list[str]:
    """The options of `up` and `serve` that say the same."""
    found = ["--host", listening.host]
    for name in listening.names:
        found += ["--name", name]
    return found


def prepare(place: Place, means: Means) -> None:
    """The directory and the storage account's key, made at the first start.

    Raises Precondition when the directory cannot be made or belongs to somebody else.
    """
    try:
        for directory in (place.data, place.data / "store", place.logs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.data.stat().st_mode & 0o077:
            place.data.chmod(0o700)
        if not place.account_key.exists():
            key = base64.b64encode(means.chance.bytes(64)) + b"\n"
            write_private(place.account_key, key)
    except OSError as error:
        raise Precondition(
            f"{place.data} cannot be used: {os.strerror(error.errno or 0).lower()}",
            hint="Name another directory with --data, or make it writable for this user.",
        ) from error


def _bound(host: str, port: int) -> int:
    """The port when it can be bound there, a free one for 0; 0 when there is none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError:
        return 0
