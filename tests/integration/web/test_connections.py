"""Connections that ask for nothing, or never finish asking: none of them keeps a door shut."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from authority import Authority
from strongroom.connections import Connection, Loop

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Door:
    """A door with limits of its own; `answer` is the application behind it."""

    def __init__(self, **limits: float) -> None:
        self.release = threading.Event()
        self.asked = threading.Semaphore(0)
        self.gone = threading.Event()
        kind = type("Bounded", (Connection,), limits)
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=kind,
            loop="asyncio",
            lifespan="off",
            log_config=None,
            ws="none",
            timeout_keep_alive=75,
        )
        self.server = uvicorn.Server(config)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self.server.run, args=([self._socket],))
        self._thread.start()
        while not self.server.started:
            assert self._thread.is_alive()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        size = 0
        if scope["path"] == "/wait":
            self.asked.release()
            await asyncio.to_thread(self.release.wait)
        if scope["path"] == "/much":
            size = 1 << 26
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while size:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            size -= 65536
        await send({"type": "http.response.body", "body": b""})
        if scope["path"] == "/much" and (await receive())["type"] == "http.disconnect":
            self.gone.set()

    def line(self, sent: bytes = b"") -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.lines.append(found)
        found.sendall(sent)
        return found

    def close(self) -> None:
        self.release.set()
        for each in self.lines:
            each.close()
        self.server.should_exit = True
        self._thread.join()


@contextmanager
def a_door(**limits: float) -> Iterator[Door]:
    found = Door(**limits)
    try:
        yield found
    finally:
        found.close()


def cut_off(line: socket.socket) -> bool:
    """Waits for the end of the connection; what was answered before it does not count."""
    try:
        while line.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def answered(line: socket.socket) -> bool:
    return line.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_head_that_does_not_come_to_its_end_is_not_waited_for() -> None:
    with a_door(head_seconds=1.0) as door:
        polite = door.line(ASK)
        assert answered(polite)
        starts = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        assert all([cut_off(line) for line in [door.line(sent) for sent in starts]])
        polite.sendall(ASK)  # who has asked before and is silent since is no such case
        assert answered(polite)


Said = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def shaking_hands(home: Path, kind: type[Loop], story: Callable[..., Awaitable[None]]) -> None:
    """`story(place, trusting)` at a door with TLS that says hello and hangs up."""
    authority = Authority(home)
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(*authority.server_certificate())
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def run() -> None:
        opened = socket.socket()
        opened.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(greet, sock=opened, ssl=offered)
        await story(opened.getsockname(), trusting)
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=kind) as runner:
        runner.run(asyncio.wait_for(run(), 50))


async def hung_up_on(*lines: Said) -> None:
    for reader, writer in lines:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_a_handshake_that_does_not_come_to_its_end_is_not_waited_for(tmp_path: Path) -> None:
    class Impatient(Loop):
        handshake_seconds = 1.0

    async def story(place: tuple[str, int], trusting: ssl.SSLContext) -> None:
        silent = await asyncio.open_connection(*place)
        half = await asyncio.open_connection(*place)
        half[1].write(b"\x16\x03\x01\x02\x00\x01")  # the head of a hello
        good = await asyncio.open_connection(*place, ssl=trusting)
        assert await good[0].read() == b"hello"
        await hung_up_on(silent, half, good)

    shaking_hands(tmp_path, Impatient, story)


def test_who_stalls_many_handshakes_shuts_the_door_to_itself_alone(tmp_path: Path) -> None:
    class Strict(Loop):
        handshake_seconds = 600.0
        handshakes_each = 3

    async def story(place: tuple[str, int], trusting: ssl.SSLContext) -> None:
        silent = [await asyncio.open_connection(*place) for _ in range(3)]
        await hung_up_on(await asyncio.open_connection(*place))
        elsewhere = {"ssl": trusting, "local_addr": ("127.0.0.2", 0)}
        other = await asyncio.open_connection(*place, **elsewhere)
        assert await other[0].read() == b"hello"
        silent[0][1].close()
        greeted = b""
        while not greeted:  # until the door has seen that one of them has gone
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection(*place, ssl=trusting)
                greeted = await reader.read()
                writer.close()
        assert greeted == b"hello"
        for _, writer in [*silent, other]:
            writer.close()

    shaking_hands(tmp_path, Strict, story)


def test_a_body_that_nobody_waits_for_is_not_waited_for() -> None:
    with a_door(head_seconds=0.3) as door:
        line = door.line(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
        assert answered(line)
        assert cut_off(line)


def test_an_answer_that_is_not_taken_is_not_kept() -> None:
    with a_door(take_seconds=0.3) as door:
        line = door.line(ASK.replace(b"/ ", b"/much ", 1))
        assert door.gone.wait(30)
        assert cut_off(line)


def test_idle_connections_make_room_and_those_that_are_answered_stay() -> None:
    with a_door(idle_beyond=3, most=4) as door:
        busy = door.line(ASK.replace(b"/ ", b"/wait ", 1))
        assert door.asked.acquire(timeout=30)
        idle = [door.line(ASK) for _ in range(2)]
        assert all(map(answered, idle))
        another = door.line(ASK)
        assert answered(another)
        idle[0].settimeout(0.1)
        gone = [line for line in idle if _is_over(line)]
        assert len(gone) == 1
        door.release.set()
        assert answered(busy)


def _is_over(line: socket.socket) -> bool:
    line.settimeout(1)
    try:
        return not line.recv(1)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_where_all_are_answered_one_more_is_refused() -> None:
    with a_door(idle_beyond=2, most=2) as door:
        busy = [door.line(ASK.replace(b"/ ", b"/wait ", 1)) for _ in range(2)]
        assert all(door.asked.acquire(timeout=30) for _ in busy)
        assert cut_off(door.line(ASK))
        door.release.set()
        assert all(map(answered, busy))
