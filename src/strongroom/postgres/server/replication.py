"""One replication connection: commands, COPY, and the patience that each of them is given.

Everything is non-blocking with polls of at most a second, so that other threads run, a watcher can
end the waiting, and a server that falls silent is noticed: libpq's own waits do none of these.
Source: PostgreSQL manual, "Streaming Replication Protocol"; libpq, "COPY" and "Asynchronous".
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
from psycopg import pq

from strongroom.model.errors import SourceError, SourceStopped
from strongroom.postgres.server.answers import Answers, PlainAnswers, out_of_order
from strongroom.postgres.server.refusals import connection_is_gone, failed_command
from strongroom.postgres.server.silence import SLICE, STALL_SECONDS, Silence

_PIECE = 64 << 10  # bytes of a message to the server
_MOST_WARNINGS = 1000


class Replication:
    """A standing physical replication connection. One thread at a time, but for `interrupt`."""

    def __init__(self, pgconn: pq.abc.PGconn, watch: Callable[[], None]) -> None:
        self._pgconn = pgconn
        self._watch = watch
        self._silence = Silence(pgconn.socket, watch)
        # A descriptor of our own: libpq may close its socket at any time, and the number goes on
        # to mean something else.
        self._twin: socket.socket | None = socket.socket(fileno=os.dup(pgconn.socket))
        self._nudges, self._nudged = socket.socketpair()
        self._nudges.settimeout(0)
        self._poll_nudged = select.poll()
        self._poll_nudged.register(pgconn.socket, select.POLLIN)
        self._poll_nudged.register(self._nudged, select.POLLIN)
        self._lock = threading.Lock()
        self._plain: PlainAnswers | None = None
        self.warnings: list[str] = []  # what the server has warned of, the first thousand
        pgconn.notice_handler = self._note
        self.version_number = pgconn.server_version
        self.backend_pid = pgconn.backend_pid

    @property
    def host(self) -> str:
        """The host that answered, as it was named."""
        return self._pgconn.host.decode()

    @property
    def host_address(self) -> str:
        """The address that answered; empty for a local socket."""
        return "" if self._is_local else self._pgconn.hostaddr.decode()

    @property
    def _is_local(self) -> bool:
        """Whether it is a socket on this host, where nothing is ever encrypted."""
        return self.host.startswith(("/", "@"))

    @property
    def port(self) -> str:
        """The port that answered."""
        return self._pgconn.port.decode()

    def rows(self, command: str, what: str) -> list[list[bytes]]:
        """Run a command that answers with rows; `what` is it in words, for errors."""
        self.begin(command)
        found = self.next_rows(what)
        self.settle(what)
        return found

    def history(self, timeline: int) -> bytes:
        """What the server keeps of a timeline that is not the first. A replication command."""
        return self.rows(f"TIMELINE_HISTORY {timeline}", "reading the timeline's history")[0][1]

    def begin(self, command: str) -> None:
        """Send a command; its results are taken one by one."""
        try:
            self._pgconn.send_query(command.encode())
        except psycopg.Error as error:
            raise self._gone("sending a command") from error

    def ask(self, command: str) -> Answers:
        """Send a command that is answered at length; the connection is for nothing else until all
        of it is taken.
        """
        if not self._is_local:
            self.begin(command)
            return self
        self._plain = PlainAnswers(self._pgconn.socket, command, self._watch, self._note_words)
        return self._plain

    def next_rows(self, what: str, limit: float = STALL_SECONDS) -> list[list[bytes]]:
        """The next result, which must hold rows."""
        result = self._expect(pq.ExecStatus.TUPLES_OK, what, limit)
        return [
            [bytes(result.get_value(row, column) or b"") for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]

    def settle(self, what: str) -> None:
        """Take what is left of a command's results; a failure among them is raised."""
        while (result := self._result(what, STALL_SECONDS)) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise self._failed(result, what)

    def upload(self, command: str, data: bytes, what: str) -> None:
        """Run a command that takes a COPY IN, and give it `data`."""
        self.begin(command)
        self._expect(pq.ExecStatus.COPY_IN, what, STALL_SECONDS)
        for start in range(0, len(data), _PIECE):
            self._watch()
            self.send_copied(data[start : start + _PIECE], what)
        self.end_copy(what)
        self.settle(what)

    def begin_copy(self, what: str, *, both: bool = False, limit: float = STALL_SECONDS) -> None:
        """The next result, which must begin a COPY."""
        status = pq.ExecStatus.COPY_BOTH if both else pq.ExecStatus.COPY_OUT
        self._expect(status, what, limit)

    def copied(self, what: str) -> Iterator[memoryview]:
        """All messages of a COPY OUT. SourceStopped when none comes for STALL_SECONDS."""
        get, consume = self._pgconn.get_copy_data, self._pgconn.consume_input
        silent, dry = 0.0, False
        try:
            while True:
                size, data = get(1)
                if size > 0:
                    silent, dry = 0.0, False
                    yield data
                elif size < 0:
                    return
                else:
                    # A server at full speed has sent more by now: poll only when it has not.
                    silent = self._silence.wait(silent, what, STALL_SECONDS) if dry else silent
                    consume()
                    dry = True
        except psycopg.Error as error:
            raise self._gone(what) from error

    def copied_alike(self, most: int, what: str) -> bytes:
        """Nothing: libpq hands on one message at a time."""
        del most, what
        return b""

    def next_copied(self, what: str, seconds: float) -> memoryview | None:
        """One message of a COPY BOTH, or None when none came within `seconds` or until a `nudge`.

        SourceStopped when the server ends the COPY.
        """
        waited = 0.0
        try:
            while True:
                size, data = self._pgconn.get_copy_data(1)
                if size > 0:
                    return data
                if size < 0:
                    raise self._ended_early(what)
                if waited >= seconds:
                    return None
                slice_ = min(SLICE, int((seconds - waited) * 1000) or 1)
                ready = {descriptor for descriptor, _ in self._poll_nudged.poll(slice_)}
                if not ready:
                    waited += slice_ / 1000
                    self._watch()
                if self._nudged.fileno() in ready:
                    self._nudged.recv(1)
                    waited = seconds
                self._pgconn.consume_input()
        except psycopg.Error as error:
            raise self._gone(what) from error

    def send_copied(self, message: bytes, what: str) -> None:
        """One message to the server in a COPY IN or BOTH."""
        try:
            self._pgconn.put_copy_data(message)
            self._pgconn.flush()
        except psycopg.Error as error:
            raise self._gone(what) from error

    def end_copy(self, what: str) -> None:
        """Tell the server that we are done with a COPY IN or BOTH."""
        try:
            self._pgconn.put_copy_end()
            self._pgconn.flush()
        except psycopg.Error as error:
            raise self._gone(what) from error

    def interrupt(self) -> None:
        """Break the connection so that whoever waits on it stops. From any thread."""
        with self._lock, suppress(OSError):  # not connected any more: as good as broken
            if self._twin is not None:
                self._twin.shutdown(socket.SHUT_RDWR)

    def nudge(self) -> None:
        """Have whoever waits in `next_copied` look up. From any thread."""
        with self._lock, suppress(OSError):  # nobody waits any more, or a nudge is pending
            self._nudges.send(b"!")

    def close(self) -> None:
        """No `interrupt` and no `nudge` reaches this connection from now on."""
        if self._plain is not None:
            self._plain.close()
        with self._lock:
            self._nudges.close()
            self._nudged.close()
            if self._twin is not None:
                self._twin.close()
                self._twin = None

    def _note(self, said: pq.abc.PGresult) -> None:
        severity = said.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        words = said.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        self._note_words((severity or b"").decode(), (words or b"").decode(errors="replace"))

    def _note_words(self, severity: str, words: str) -> None:
        if severity == "WARNING" and words and len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(words)

    def _expect(self, status: pq.ExecStatus, what: str, limit: float) -> pq.abc.PGresult:
        result = self._result(what, limit)
        if result is None or result.status != status:
            error = self._failed(result, what)
            if not connection_is_gone(error):
                self._drain(what)  # it can be used again after a command that was refused
            raise error
        return result

    def _drain(self, what: str) -> None:
        while self._result(what, STALL_SECONDS) is not None:
            continue

    def _result(self, what: str, limit: float) -> pq.abc.PGresult | None:
        silent = 0.0
        try:
            while self._pgconn.is_busy():
                silent = self._silence.wait(silent, what, limit)
                self._pgconn.consume_input()
            return self._pgconn.get_result()
        except psycopg.Error as error:
            raise self._gone(what) from error

    def _failed(self, result: pq.abc.PGresult | None, what: str) -> SourceError:
        if result is None or result.status != pq.ExecStatus.FATAL_ERROR:
            return out_of_order(what)
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
        return failed_command(state.decode(), said.decode(errors="replace"), what)

    def _ended_early(self, what: str) -> SourceError:
        result = self._result(what, STALL_SECONDS)
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return self._failed(result, what)
        return SourceStopped(
            f"the server ended the stream while {what}",
            hint="It is tried again; a promotion or a shutdown does this.",
        )

    def _gone(self, what: str) -> SourceError:
        return failed_command("", self._pgconn.get_error_message(), what)
