"""The write-ahead log of a backup's window, streamed beside it on a second connection.

A temporary physical slot, made before the backup begins, keeps the server from recycling what the
recovery point needs; it goes with the connection, however that ends. Whole segments come out as
files of pg_wal; the last is filled up with zeros beyond what was received, as pg_receivewal does.
Source: PostgreSQL manual, "Streaming Replication Protocol", START_REPLICATION.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from strongroom.model.errors import (
    SourceError,
    SourceRefused,
    SourceStopped,
    WalGap,
)
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.model.seams import Clock
from strongroom.postgres.server.asked import show
from strongroom.postgres.server.connect import Conninfo, replication, same_server
from strongroom.postgres.server.events import FileBegun, FileData, FileEnded, WalEvent
from strongroom.postgres.server.replication import Replication
from strongroom.postgres.server.silence import STALL_SECONDS
from strongroom.postgres.server.system import System, identify
from strongroom.postgres.wire.messages import WalData, parse_wal_message, status_update

_STATUS_SECONDS = 10.0
_EPOCH_2000 = 946684800  # seconds from 1970 to 2000
_MODE = 0o600
_NO_SLOT = {"53400", "55000"}  # all in use; none allowed
_STREAMING = "streaming write-ahead log"
_ZEROS = memoryview(bytes(256 << 10))


class LogWindow(ABC):
    """The log of a backup, while it runs. Enter it before the backup begins; run `events` in a

    thread of its own.

        with WalWindow(conninfo, clock) as window:
            ...   # base backup on another connection; Started -> thread over window.events(...)
            window.stop_at(ended.stop_lsn)

    `warning`: that nothing holds the log for us, though something could.
    """

    _server: Replication
    _system: System

    def __init__(self, conninfo: Conninfo, clock: Clock) -> None:
        self._conninfo = conninfo
        self._clock = clock
        self._stack = ExitStack()
        self._stop: Lsn | None = None
        self._abandoned = threading.Event()
        self.warning: SourceError | None = None

    def __enter__(self) -> Self:
        """Connect. Raises as `connect.replication` and `connect.session` do."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection, and all that goes with it."""
        self._stack.close()

    @property
    def system(self) -> System:
        """Who is at the other end."""
        return self._system

    def same_server(self) -> Conninfo:
        """The connection string for the base backup, tied to this very server."""
        return same_server(self._conninfo, self._server)

    def stop_at(self, lsn: Lsn) -> None:
        """The backup ended here: read up to it and no further. From any thread."""
        self._stop = lsn
        self._wake()

    def abandon(self) -> None:
        """End now, whatever is missing; `events` raises SourceStopped. From any thread."""
        self._abandoned.set()
        self._wake()
        self._server.interrupt()

    def events(self, start: Lsn, timeline: Timeline) -> Generator[WalEvent, None, None]:
        """Segments from the one that holds `start` to the one that holds the stop.

        Raises WalGap when log that is needed is gone, SourceStopped when the server goes away.
        """
        now = int(self._clock.now().timestamp())
        if timeline > 1:
            yield from history_events(timeline, self._history(timeline), now)
        size = self._system.wal_segment_size
        position = Lsn(start - start % size)
        cutter = SegmentCutter(size, timeline, now)
        yield from cutter.cut(self._chunks(position, timeline), position)

    @abstractmethod
    def _open(self) -> None:
        """Connect: `_server` and `_system`, and in `_stack` what is let go of at the end."""

    @abstractmethod
    def _wake(self) -> None:
        """Have `_chunks` look up. From any thread."""

    @abstractmethod
    def _history(self, timeline: Timeline) -> bytes:
        """The history file of a timeline."""

    @abstractmethod
    def _chunks(self, position: Lsn, timeline: Timeline) -> Iterator[memoryview]:
        """The log from there up to the stop; it is asked for before this returns."""


class WalWindow(LogWindow):
    """A slot and a stream, on a replication connection.

    `warning` is set when no slot was free: the window is then streamed without one, and a WalGap
    comes out when the server recycles faster than we read.
    """

    def __init__(
        self, conninfo: Conninfo, clock: Clock, watch: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(conninfo, clock)
        self._watch = watch
        self._slot = ""
        self._may_report = True

    def _open(self) -> None:
        self._server = self._stack.enter_context(replication(self._conninfo, self._check))
        self._system = identify(self._server)
        self._may_report = not _would_be_synchronous(self._server)
        self._reserve()

    def _wake(self) -> None:
        self._server.nudge()

    def _history(self, timeline: Timeline) -> bytes:
        return self._server.history(timeline)

    def _chunks(self, position: Lsn, timeline: Timeline) -> Iterator[memoryview]:
        slot = f'SLOT "{self._slot}" ' if self._slot else ""
        with _gap_told():
            self._server.begin(
                f"START_REPLICATION {slot}PHYSICAL {lsn_to_text(position)} TIMELINE {timeline}"
            )
            self._server.begin_copy(_STREAMING, both=True)
        return self._up_to_the_stop(position)

    def _up_to_the_stop(self, position: Lsn) -> Iterator[memoryview]:
        with _gap_told():
            yield from self._streamed(position)
            self._server.end_copy(_STREAMING)

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise SourceStopped("the WAL stream was abandoned")
        self._watch()

    def _reserve(self) -> None:
        name = f"strongroom_{self._server.backend_pid}"
        try:
            self._server.rows(
                f'CREATE_REPLICATION_SLOT "{name}" TEMPORARY PHYSICAL RESERVE_WAL',
                "making a temporary replication slot",
            )
        except SourceError as error:
            if error.facts.get("sqlstate") not in _NO_SLOT:
                raise
            self.warning = SourceRefused(
                "no replication slot is free: the log of this backup is not held for it",
                hint="Raise max_replication_slots in postgresql.conf and restart the server.",
                facts={"severity": "warning"},
            )
        else:
            self._slot = name

    def _streamed(self, position: Lsn) -> Iterator[memoryview]:
        heard = told = self._clock.monotonic()
        while self._stop is None or position < self._stop:
            raw = self._server.next_copied(_STREAMING, 0.25)
            now = self._clock.monotonic()
            reply_now = False
            if raw is not None:
                heard = now
                message = parse_wal_message(raw)
                if isinstance(message, WalData):
                    if message.start != position:
                        raise WalGap(
                            f"write-ahead log jumps from {lsn_to_text(position)} "
                            f"to {lsn_to_text(message.start)}"
                        )
                    yield message.data
                    position = Lsn(position + len(message.data))
                else:
                    reply_now = message.reply_now
            elif now - heard > STALL_SECONDS:
                raise SourceStopped(
                    f"the WAL stream was silent for {STALL_SECONDS:.0f} seconds",
                    hint="See the server's log, and the network between agent and server.",
                )
            if reply_now or now - told > _STATUS_SECONDS:
                self._report(position)
                told = now

    def _report(self, position: Lsn) -> None:
        """Say how far we are, and ask for an answer: silence after it means a dead server.

        What the sink has taken counts as flushed: the slot then lets go of it, so that a long
        backup does not fill the server's disk.
        """
        microseconds = int((self._clock.now().timestamp() - _EPOCH_2000) * 1_000_000)
        flushed = position if self._may_report else Lsn(0)
        update = status_update(position, flushed, microseconds, reply_now=True)
        self._server.send_copied(update, _STREAMING)


def _would_be_synchronous(server: Replication) -> bool:
    """Whether a reported position could release a commit that waits for a real standby."""
    names = show(server, "synchronous_standby_names")
    return "*" in names or "strongroom" in names.lower()


def segment_name(timeline: Timeline, lsn: Lsn, segment_size: int) -> str:
    """The file that holds a position. Source: XLogFileName in PostgreSQL's xlog_internal.h."""
    number = lsn // segment_size
    per_id = 0x100000000 // segment_size
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def history_events(timeline: Timeline, content: bytes, mtime: int) -> Iterator[WalEvent]:
    """A timeline's history as a file."""
    yield FileBegun(f"pg_wal/{timeline:08X}.history", len(content), _MODE, mtime, "wal")
    if content:
        yield FileData(memoryview(content))
    yield FileEnded()


@contextmanager
def _gap_told() -> Iterator[None]:
    try:
        yield
    except SourceRefused as error:
        # 55000 while streaming: the slot was invalidated (max_slot_wal_keep_size).
        raise WalGap(error.message, hint="Raise max_slot_wal_keep_size.") from error


class SegmentCutter:
    """Cuts a run of WAL into segment files; `mtime` in seconds since 1970."""

    def __init__(self, segment_size: int, timeline: Timeline, mtime: int) -> None:
        self._size = segment_size
        self._timeline = timeline
        self._mtime = mtime

    def cut(self, chunks: Iterator[memoryview], position: Lsn) -> Iterator[WalEvent]:
        """Files from the segment that begins at `position`; a run of no bytes is one of zeros."""
        yield self._begin(position)
        used = 0
        for chunk in chunks:
            start = 0
            while start < len(chunk):
                if used == self._size:
                    position, used = Lsn(position + used), 0
                    yield FileEnded()
                    yield self._begin(position)
                part = chunk[start : start + self._size - used]
                yield FileData(part)
                used += len(part)
                start += len(part)
        while used < self._size:
            part = _ZEROS[: self._size - used]
            yield FileData(part)
            used += len(part)
        yield FileEnded()

    def _begin(self, position: Lsn) -> FileBegun:
        name = segment_name(self._timeline, position, self._size)
        return FileBegun(f"pg_wal/{name}", self._size, _MODE, self._mtime, "wal")
