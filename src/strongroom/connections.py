"""Connections of HTTP that nobody can hold without asking: for the API's doors and the store's.

A handshake of TLS must be over within `HANDSHAKE_SECONDS`. A head, or the rest of a body that
nobody waits for, must be there within `HEAD_SECONDS`; an answer must be taken; and where there are
too many connections, those that ask for nothing go first. How long a body may take while a request
is answered is for whoever answers.
"""

import asyncio
import resource
from typing import Any

import structlog
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HANDSHAKE_SECONDS = 10.0
HEAD_SECONDS = 20.0
TAKE_SECONDS = 60.0  # for the next few dozen kilobytes of an answer
MOST_HEAD_BYTES = 96 * 1024
MOST = 4000
_log = structlog.get_logger()


class Loop(uvloop.Loop):
    """Uvloop's, with an end to handshakes: by itself it waits a minute for each.

    Uvicorn has no setting for it.
    """

    handshake_seconds = HANDSHAKE_SECONDS

    async def create_server(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as its own
        """As asyncio's."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self.handshake_seconds
        return await super().create_server(*args, **options)


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
