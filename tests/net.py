"""The network as a seam: lines over loopback whose links are cut, reset, stalled and made slow.

A line is a port that leads to another. Each exchange on it, from the client's first byte to the
end of the server's answer, is one call of a link; a FaultPlan says how it ends:

    cut     the request does not arrive: the connection closes
    reset   the connection is reset when half of the request's first piece has gone through
    stall   nothing arrives and nothing is said for STALL_SECONDS, then a reset
    slow    everything arrives, in small pieces with pauses between them
    lost    the request arrives and is carried out; the answer does not, and a reset comes
"""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from faults import FaultPlan

FAULTS = ("cut", "reset", "stall", "slow", "lost")
STALL_SECONDS = 1.0
PIECE, PAUSE_SECONDS, SLOW_PIECES = 4096, 0.02, 40
DRAIN_SECONDS = 1.0  # how long the rest of an answer that is to be lost may take
_LINGER_0 = struct.pack("ii", 1, 0)  # close by a reset


class _End(Exception):
    """This connection is over."""


class Line:
    """127.0.0.1:port leads to `target`; `link_of(client's port)` names the link."""

    def __init__(self, target: int, plan: FaultPlan, link_of: Callable[[int], str]) -> None:
        self.target, self._plan, self._link_of = target, plan, link_of
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="line")]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, (_, port) = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client, port), name="line")
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, port: int) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:  # nobody listens: what the client would have met without us
                _reset(client)
                return
            with server, contextlib.suppress(_End, OSError):
                self._relay(client, server, self._link_of(port))

    def _relay(self, client: socket.socket, server: socket.socket, link: str) -> None:
        client.settimeout(30)
        server.settimeout(30)
        asking, slow, losing = False, 0, False
        with selectors.DefaultSelector() as both:
            both.register(client, selectors.EVENT_READ, server)
            both.register(server, selectors.EVENT_READ, client)
            while not self._closing.is_set():
                for key, _ in both.select(0.2):
                    source, sink = key.fileobj, key.data
                    data = source.recv(1 << 16)
                    if not data:
                        raise _End
                    if source is client and not asking:
                        fault = self._plan.ask(link)
                        slow, losing = SLOW_PIECES * (fault == "slow"), fault == "lost"
                        self._begin(fault, data, client, server)
                    if source is server and losing:
                        self._drain(server)
                        _reset(client)
                        raise _End
                    asking = source is client
                    slow = self._send(sink, data, slow)

    def _begin(
        self, fault: str | None, data: bytes, client: socket.socket, server: socket.socket
    ) -> None:
        """How an exchange ends that does not get far."""
        if fault == "cut":
            raise _End
        if fault == "reset":
            server.sendall(data[: len(data) // 2])
        if fault == "stall":
            self._closing.wait(STALL_SECONDS)
        if fault in {"reset", "stall"}:
            _reset(client)
            _reset(server)
            raise _End

    def _send(self, sink: socket.socket, data: bytes, slow: int) -> int:
        """All of it; while `slow` lasts, in small pieces. Returns what is left of `slow`."""
        while slow and data:
            sink.sendall(data[:PIECE])
            data, slow = data[PIECE:], slow - 1
            self._closing.wait(PAUSE_SECONDS)
        sink.sendall(data)
        return slow

    def _drain(self, server: socket.socket) -> None:
        """Let the server say all of it, so that it never notices."""
        server.settimeout(DRAIN_SECONDS / 4)
        with contextlib.suppress(TimeoutError):
            while server.recv(1 << 16):
                pass

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(35)


def _reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    one.close()


class Net:
    """All the lines of a house, under one plan."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.lines: list[Line] = []

    def line(self, target: int, link_of: Callable[[int], str]) -> int:
        """A new port that leads to `target`."""
        self.lines.append(Line(target, self.plan, link_of))
        return self.lines[-1].port

    def close(self) -> None:
        for line in self.lines:
            line.close()


@contextlib.contextmanager
def a_net(seed: int) -> Iterator[Net]:
    net = Net(FaultPlan(seed))
    try:
        yield net
    finally:
        net.close()


def owner_of(port: int, processes: Mapping[str, int]) -> str:
    """Which of these processes (name -> pid) holds the local TCP port; "somebody" otherwise."""
    inode = _inode_of(port)
    for name, pid in processes.items():
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if str(entry.readlink()) == f"socket:[{inode}]":
                        return name
    return "somebody"


def _inode_of(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":
            return fields[9]
    return ""
