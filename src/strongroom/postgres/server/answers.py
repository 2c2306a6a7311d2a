"""What a command is answered with, read from the socket itself: past libpq, which copies each byte
once more, and has us ask for the interpreter with each 32 KiB.

libpq makes the connection, and has it again afterwards: it knows of nothing. Only a local socket
is read so, where no byte is encrypted (docs/decisions/0235).
Source: PostgreSQL manual, "Message Flow".
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from strongroom.model.errors import SourceError, SourceStopped
from strongroom.postgres.server.refusals import failed_command
from strongroom.postgres.server.silence import STALL_SECONDS, Silence
from strongroom.postgres.wire.backend import HEAD, Kind, data_row, error_fields, whole_size

_LITTLE = 16 << 10  # bytes that are asked for outside of a COPY
_MUCH = 2 << 20  # and within one: what is sealed at once
_LARGE = 8 << 10  # bytes of a message, from which on it pays to look at many at once
_START = HEAD.size + 1  # bytes of a message before what it carries: its head, and of what sort
# The kernel gathers what it was asked for, but not for longer: the last bytes come alone.
_GATHERING = struct.pack("ll", 0, 20_000)  # seconds, microseconds
_FOR_EVER = struct.pack("ll", 0, 0)


class Answers(Protocol):
    """Of a command that has been sent, taken one by one. One thread at a time."""

    def next_rows(self, what: str, limit: float = STALL_SECONDS) -> list[list[bytes]]:
        """The next result, which must hold rows."""

    def begin_copy(self, what: str) -> None:
        """The next result, which must begin a COPY OUT."""

    def copied(self, what: str) -> Iterator[memoryview]:
        """All messages of a COPY OUT."""

    def copied_alike(self, most: int, what: str) -> bytes:
        """Those of the next messages that are as long as the last one and begin with the same
        byte, one after the other without that byte; at most so many bytes. Empty where the next is
        another one, or too short to be worth it: `copied` goes on with it.
        """

    def settle(self, what: str) -> None:
        """Take what is left; a failure among it is raised."""


class PlainAnswers:
    """`note` is told severity and message of each notice. Raises as Replication does."""

    def __init__(
        self,
        descriptor: int,
        command: str,
        watch: Callable[[], None],
        note: Callable[[str, str], None],
    ) -> None:
        """Send the command. The descriptor stays its owner's."""
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._silence = Silence(descriptor, watch)
        self._note = note
        self._come = memoryview(b"")
        self._at = 0
        self._size = HEAD.size  # of the last message
        self._open = True
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _GATHERING)
        text = command.encode() + b"\0"
        try:
            self._socket.sendall(b"Q" + (len(text) + 4).to_bytes(4, "big") + text)
        except OSError as error:
            self.close()
            raise failed_command("", str(error), "sending a command") from error

    def next_rows(self, what: str, limit: float = STALL_SECONDS) -> list[list[bytes]]:
        """The next result, which must hold rows."""
        rows = []
        while (found := self._next(what, limit))[0] != Kind.COMMAND_COMPLETE:
            if found[0] == Kind.DATA_ROW:
                rows.append(data_row(found[1]))
            elif found[0] != Kind.ROW_DESCRIPTION:
                raise out_of_order(what)
        return rows

    def begin_copy(self, what: str) -> None:
        """The next result, which must begin a COPY OUT."""
        if self._next(what, STALL_SECONDS)[0] != Kind.COPY_OUT:
            raise out_of_order(what)

    def copied(self, what: str) -> Iterator[memoryview]:
        """All messages of a COPY OUT. What was given out stays as it is."""
        while True:
            kind, body = self._next(what, STALL_SECONDS, much=True)
            if kind == Kind.COPY_DATA:
                yield body
            elif kind == Kind.COPY_DONE:
                return
            else:
                raise out_of_order(what)

    def copied_alike(self, most: int, what: str) -> bytes:
        """The messages of a long file are alike, and lie in what came as the rows of a table."""
        size = self._size
        if size < _LARGE or self._at < size or most < size:
            return b""
        start = bytes(self._come[self._at - size :][:_START])
        if start[0] != Kind.COPY_DATA:
            return b""
        if self._at == len(self._come):
            self._receive(self._count(0, 0), what, STALL_SECONDS, much=True)
        left = self._come[self._at :]
        count = min(len(left) // size, most // (size - _START))
        rows = np.frombuffer(left[: count * size], dtype=np.uint8).reshape(count, size)
        others = np.flatnonzero((rows[:, :_START] != np.frombuffer(start, np.uint8)).any(axis=1))
        alike = int(others[0]) if len(others) else count
        self._at += alike * size
        return rows[:alike, _START:].tobytes()

    def settle(self, what: str) -> None:
        """Take what is left; a failure among it is raised. libpq may go on afterwards."""
        while self._open:
            if self._next(what, STALL_SECONDS)[0] == Kind.READY:
                self.close()

    def close(self) -> None:
        """The connection is its owner's again. Safe twice."""
        if self._open:
            self._open = False
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _FOR_EVER)
            self._socket.settimeout(0)
            self._socket.close()

    def _next(self, what: str, limit: float, *, much: bool = False) -> tuple[int, memoryview]:
        """Kind and body of the next message that is no notice. A failure is raised."""
        while True:
            kind, body = self._message(what, limit, much=much)
            if kind == Kind.NOTICE:
                told = error_fields(body)
                self._note(told.get("V", ""), told.get("M", ""))
            elif kind == Kind.ERROR:
                raise self._failed(body, what)
            elif kind != Kind.PARAMETER_STATUS:
                return kind, body

    def _message(self, what: str, limit: float, *, much: bool) -> tuple[int, memoryview]:
        while True:
            left = len(self._come) - self._at
            least = HEAD.size - left
            if least <= 0:
                kind, length = HEAD.unpack_from(self._come, self._at)
                self._size = whole_size(length)
                least = self._size - left
                if least <= 0:
                    begin, self._at = self._at + HEAD.size, self._at + self._size
                    return kind, self._come[begin : self._at]
            self._receive(self._count(left, least) if much else _LITTLE, what, limit, much=much)

    def _count(self, left: int, least: int) -> int:
        """The rest of a message, or as many as the last as fit: then none comes in two pieces."""
        return least if left else max(1, _MUCH // self._size) * self._size

    def _receive(self, count: int, what: str, limit: float, *, much: bool) -> None:
        silent, data = 0.0, None
        while data is None:
            try:
                data = self._socket.recv(count, socket.MSG_WAITALL if much else 0)
            except BlockingIOError:
                silent = self._silence.wait(silent, what, limit)
            except OSError as error:
                raise failed_command("", str(error), what) from error
        if not data:
            raise failed_command("", "", what)
        rest = self._come[self._at :]
        self._come = memoryview(b"".join([rest, data]) if rest else data)
        self._at = 0

    def _failed(self, body: memoryview, what: str) -> SourceError:
        """The rest of the command is taken, so that the connection can be used again."""
        told = error_fields(body)
        error = failed_command(told.get("C", ""), told.get("M", ""), what)
        if told.get("V") == "ERROR":
            while self._message(what, STALL_SECONDS, much=False)[0] != Kind.READY:
                continue
            self.close()
        return error


def out_of_order(what: str) -> SourceError:
    """The error for an answer that is none to what was asked."""
    return SourceStopped(
        f"the server answered out of order while {what}",
        hint="See that nothing between agent and server changes the protocol.",
    )
