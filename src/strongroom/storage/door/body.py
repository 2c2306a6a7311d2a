"""Receiving a body: off the event loop, in pieces, within a deadline."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from strongroom.model.errors import Invalid, StoreUnavailable
from strongroom.storage.door.request import Request

PIECE_BYTES = 1 << 20
P = ParamSpec("P")
T = TypeVar("T")


class ClientGone(Exception):
    """Nobody is there to be answered."""


class Work:
    """Threads for what blocks, and how long a client may be silent (seconds)."""

    def __init__(self, threads: int, idle_seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._idle = idle_seconds

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(wait=True)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it in a thread, to its end: a cancelled request still waits for its step."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, functools.partial(call, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    async def pour(self, request: Request, write: Callable[[Sequence[bytes]], None]) -> None:
        """The whole body into `write`, one megabyte at a time: it writes while we receive."""
        writing: asyncio.Task[None] | None = None
        try:
            more = True
            while more:
                pieces, more = await self._piece(request)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self.run(write, pieces))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                await asyncio.wait([writing])

    async def collect(self, request: Request, limit: int) -> bytes:
        """A small body, whole. Raises Invalid (RequestBodyTooLarge) beyond `limit` bytes."""
        length = body_length(request, limit)
        pieces: list[bytes] = []
        more = length > 0
        while more:
            found, more = await self._piece(request)
            pieces += found
        return b"".join(pieces)

    async def _piece(self, request: Request) -> tuple[list[bytes], bool]:
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._idle):
                while size < PIECE_BYTES:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    body = message.get("body", b"")
                    if body:
                        pieces.append(body)
                        size += len(body)
                    if not message.get("more_body", False):
                        return pieces, False
        except TimeoutError as error:
            raise StoreUnavailable(
                "the body did not arrive in time", code="OperationTimedOut"
            ) from error
        return pieces, True


def body_length(request: Request, limit: int) -> int:
    """What Content-Length says. Raises Invalid when it is absent or beyond `limit` bytes."""
    length = request.whole("content-length")
    if length is None:
        raise Invalid("the length of the body is not said", code="MissingContentLengthHeader")
    if length > limit:
        raise Invalid("the body is longer than allowed", code="RequestBodyTooLarge")
    return length
