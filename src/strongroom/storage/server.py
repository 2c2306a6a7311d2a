"""The endpoint as a process: uvicorn around the door, one ready file, a clean end on SIGTERM."""

import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog
import uvicorn

from strongroom.connections import allow_many_files, bounded
from strongroom.model.errors import Precondition
from strongroom.model.seams import Chance, Clock
from strongroom.storage.basis.heap import keep_freed_memory
from strongroom.storage.basis.layout import write_whole
from strongroom.storage.basis.settings import Account, StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.door.body import Work
from strongroom.storage.endpoint import Endpoint
from strongroom.storage.upkeep.pulling import Pull
from strongroom.storage.upkeep.scrubbing import Scrub
from strongroom.storage.upkeep.source import Source
from strongroom.storage.upkeep.upkeep import Upkeep

_log = structlog.get_logger("strongroom.storage")
_BUSY = 256  # requests at once; from then on each is asked to come again
_MOST_CONNECTIONS = 512


def create_app(
    store: BlobStore,
    account: Account,
    clock: Clock,
    chance: Chance,
    *,
    threads: int = 16,
    idle_seconds: float = 60.0,
) -> Endpoint:
    """The ASGI application. Its lifespan's end closes the store."""
    return Endpoint(store, account, clock, chance, Work(threads, idle_seconds))


def run(settings: StoreSettings, clock: Clock, chance: Chance) -> None:
    """Serve until SIGTERM or SIGINT. Requests under way get `stop_seconds` to end.

    `ready.json` in the root is written when the endpoint listens and removed when it stops.
    Raises Conflict when another process owns the root, Precondition when the port is taken.
    """
    account = Account(settings.account, settings.account_key, settings.reader_key)
    _tell_in_structured_lines()
    keep_freed_memory()
    store = open_store(settings, clock, chance)
    try:
        listener = _listen(settings)
    except BaseException:
        store.close()
        raise
    app = create_app(
        store,
        account,
        clock,
        chance,
        threads=settings.threads,
        idle_seconds=settings.idle_seconds,
    )
    if settings.scrub_days:
        rate = settings.scrub_bytes_per_second
        app.scrub = Scrub(store, clock, days=settings.scrub_days, bytes_per_second=rate)
        app.scrub.start()
    if settings.pull is not None:
        app.pull = Pull(store, Source(settings.pull, clock), settings.pull, clock)
        app.pull.start()
    if settings.back_end is not None:
        app.upkeep = Upkeep(store, settings, clock)
        app.upkeep.start()
    server = _Server(_config(settings, app), settings, listener.getsockname()[1])
    try:
        server.run(sockets=[listener])
    finally:
        settings.ready_file.unlink(missing_ok=True)
        listener.close()
        _log.info("store_stopped")


class _Server(uvicorn.Server):
    """Uvicorn's, which also says when it is ready and ends without killing itself."""

    def __init__(self, config: uvicorn.Config, settings: StoreSettings, port: int) -> None:
        super().__init__(config)
        self._settings = settings
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        settings = self._settings
        scheme = "https" if settings.tls_cert else "http"
        url = f"{scheme}://{settings.host}:{self._port}/{settings.account}"
        facts = {"url": url, "host": settings.host, "port": self._port, "pid": os.getpid()}
        write_whole(settings.ready_file, json.dumps(facts).encode())
        _log.info("store_ready", url=url, root=str(settings.root))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal again at the end: we end with code 0."""
        before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        for each in before:
            signal.signal(each, self.handle_exit)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks; a second one insists."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True


class _IntoStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        _log.log(record.levelno, "http_server", message=record.getMessage(), error=repr(error))


def _tell_in_structured_lines() -> None:
    logger = logging.getLogger("uvicorn")
    logger.handlers = [_IntoStructlog()]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def _config(settings: StoreSettings, app: Any) -> uvicorn.Config:  # noqa: ANN401 - ASGI
    most = min(_MOST_CONNECTIONS, allow_many_files())
    return uvicorn.Config(
        app,
        http=bounded(most, _BUSY - 1),
        loop="strongroom.connections:Loop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=512,
        limit_concurrency=_BUSY,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.stop_seconds,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _listen(settings: StoreSettings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        # Without its protocol asyncio leaves Nagle's algorithm on: 40 ms for each small answer.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.set_inheritable(False)
    except OSError as error:
        raise Precondition(
            f"the store cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            hint="Choose another port, or 0 for a free one.",
        ) from error
    return listener
