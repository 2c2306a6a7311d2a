"""Connections of HTTP that nobody can hold without asking: for the API's doors and the store's.

A handshake of TLS must be over within `HANDSHAKE_SECONDS`, and one address has so many under way
at once and no more: whoever stalls them shuts the door to itself alone. A head, or the rest of a
body that nobody waits for, must be there within `HEAD_SECONDS`; an answer must be taken; and where
there are too many connections, those that ask for nothing go first. How long a body may take while
a request is answered is for whoever answers.
"""

import asyncio
import ipaddress
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HANDSHAKE_SECONDS = 10.0
HANDSHAKES_EACH = 100  # under way at once, of one address
HEAD_SECONDS = 20.0
TAKE_SECONDS = 60.0  # for the next few dozen kilobytes of an answer
MOST_HEAD_BYTES = 96 * 1024
MOST = 4000
_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 64
_AGAIN_SECONDS = 1.0  # until we try to accept again, when there was no room for a connection
_log = structlog.get_logger()


class Loop(uvloop.Loop):
    """Uvloop's, with an end to handshakes, and with a bound on how many: it has neither."""

    handshake_seconds = HANDSHAKE_SECONDS
    handshakes_each = HANDSHAKES_EACH
    most_handshakes = MOST

    async def create_server(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as its own
        """As asyncio's; with TLS on one socket that is given, as uvicorn does."""
        if options.get("ssl") is None:
            return await super().create_server(*args, **options)
        door = Door(self, args[0], options["sock"], options["ssl"])
        door.listen(options.get("backlog", _BACKLOG))
        return door


class Door:
    """A listening socket with TLS, which knows who is in the middle of a handshake.

    Asyncio tells of a connection when its handshake is over, and nothing of those before: so it
    is we who accept.
    """

    def __init__(
        self,
        loop: Loop,
        factory: Callable[[], asyncio.BaseProtocol],
        opened: socket.socket,
        context: ssl.SSLContext,
    ) -> None:
        self._loop, self._factory, self._context = loop, factory, context
        self._opened = opened
        self._under_way: Counter[str] = Counter()  # by address
        self._handshakes = set[asyncio.Task[None]]()
        self._told = set[str]()  # whose surplus is in the log, until it has none

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The one."""
        return (self._opened,)

    def listen(self, backlog: int) -> None:
        """Begin to accept."""
        self._opened.settimeout(0)
        self._opened.listen(backlog)
        self._loop.add_reader(self._opened, self._accept)

    def close(self) -> None:
        """Accept nobody more; what has had its handshake goes on."""
        if self._opened.fileno() >= 0:
            self._loop.remove_reader(self._opened)
            self._opened.close()
        for each in self._handshakes:
            each.cancel()

    async def wait_closed(self) -> None:
        """Until no handshake is under way."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                line, address = self._opened.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no more files, or no memory for one
                _log.error("connections.cannot_accept", why=error.strerror)
                self._loop.remove_reader(self._opened)
                self._loop.call_later(_AGAIN_SECONDS, self._accept_again)
                return
            self._begin(line, _whose(address[0]))

    def _accept_again(self) -> None:
        if self._opened.fileno() >= 0:
            self._loop.add_reader(self._opened, self._accept)

    def _begin(self, line: socket.socket, whose: str) -> None:
        full = len(self._handshakes) >= self._loop.most_handshakes
        if full or self._under_way[whose] >= self._loop.handshakes_each:
            line.close()
            if whose not in self._told:
                self._told.add(whose)
                _log.warning("connections.too_many_handshakes", client=whose)
            return
        line.settimeout(0)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._under_way[whose] += 1
        task = self._loop.create_task(self._shake_hands(line, whose))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, line: socket.socket, whose: str) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                line,
                ssl=self._context,
                ssl_handshake_timeout=self._loop.handshake_seconds,
            )
        except OSError as error:  # it hung up, was too slow, or speaks no TLS that we do
            _log.debug("connections.no_handshake", client=whose, why=type(error).__name__)
        finally:
            self._under_way[whose] -= 1
            if not self._under_way[whose]:
                del self._under_way[whose]
                self._told.discard(whose)


def _whose(address: str) -> str:
    """Who is behind an address: of IPv6 the network of 64 bits, all of which one host may have."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 4 or found.ipv4_mapped:
        return str(getattr(found, "ipv4_mapped", None) or found)
    return str(ipaddress.ip_network((found, 64), strict=False))


class Connection(HttpToolsProtocol):
    """Uvicorn's, bounded. Limits are the class's, so that a test can have its own."""

    head_seconds = HEAD_SECONDS
    take_seconds = TAKE_SECONDS
    idle_beyond = MOST  # with more connections than this, idle ones are let go
    most = MOST

    _head_bytes = 0  # of a head that is not complete yet
    _in_head = True
    _completed = False
    _late: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as asyncio's
        """One more, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > self.idle_beyond:
            self._make_room()
        if len(self.connections) > self.most:
            self._cut("connections.refused")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        self._wait_no_longer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives while no head is completed by it."""
        if self._late is None:
            self._wait()
        began_in_head, self._completed = self._in_head, False
        super().data_received(data)
        if began_in_head and not self._completed:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._cut("connections.endless_head")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head, self._completed, self._head_bytes = False, True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next bytes are another head."""
        self._in_head = True
        self._wait_no_longer()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take what it asked for."""
        super().pause_writing()
        self._untaken = self.loop.call_later(self.take_seconds, self._cut, "connections.untaken")

    def resume_writing(self) -> None:
        """It does."""
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None
        super().resume_writing()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._is_late)

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        if self.idle:
            self._cut("connections.slow")
        else:
            self._wait()

    def _make_room(self) -> None:
        """The first idle one: nobody knows which has waited the longest, and none has a right."""
        for each in self.connections:
            if isinstance(each, Connection) and each is not self and each.idle:
                each._cut("connections.let_go")  # noqa: SLF001 - one of ours
                return

    def _cut(self, event: str) -> None:
        self._wait_no_longer()
        self.connections.discard(self)
        _log.warning(event, client=self.client[0] if self.client else "", at=len(self.connections))
        self.transport.abort()


def allow_many_files() -> int:
    """As many open files as the system lets us have. Returns how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST + 512 if hard == resource.RLIM_INFINITY else min(hard, 2 * MOST + 512)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft // 3))


def bounded(most: int, idle_beyond: int | None = None) -> type[Connection]:
    """Connections of a door that has at most so many."""
    limits = {"most": most, "idle_beyond": most if idle_beyond is None else idle_beyond}
    return type("BoundedConnection", (Connection,), limits)
