"""The write-ahead log of a backup's window, streamed beside it on a second connection.

A temporary physical slot holds the log back from the moment before the backup begins, so nothing
that the recovery point needs can be recycled. Whole segments come out as files of pg_wal; the last
one is filled up with zeros beyond what was received, as pg_receivewal does.
Source: PostgreSQL manual, "Streaming Replication Protocol", START_REPLICATION.
"""

import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import pq

from strongroom.model.errors import SourceStopped, WalGap
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.model.seams import Clock
from strongroom.postgres.basebackup import query_rows
from strongroom.postgres.connect import copy_data, failure
from strongroom.postgres.wire.messages import WalData, parse_wal_message, status_update

STALL_SECONDS = 300.0
_STATUS_SECONDS = 10.0
_EPOCH_2000 = 946684800


@dataclass(frozen=True, slots=True)
class SegmentBegun:
    """A file of pg_wal begins: `name` is its 24 hexadecimal digits, `size` its full size."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class SegmentData:
    """Bytes of the segment that begun last, in order, without holes."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """The segment is complete."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A timeline history file that a timeline above 1 needs."""

    name: str
    content: bytes


WalEvent = SegmentBegun | SegmentData | SegmentEnded | HistoryFile


def reserve_wal(pgconn: pq.abc.PGconn, name: str) -> None:
    """Make the temporary slot: from now on the server keeps its log for us.

    It goes with the connection, however that ends.
    """
    query_rows(pgconn, f'CREATE_REPLICATION_SLOT "{name}" TEMPORARY PHYSICAL RESERVE_WAL')


def segment_name(timeline: Timeline, lsn: Lsn, segment_size: int) -> str:
    """The file that holds a position. Source: XLogFileName in PostgreSQL's xlog_internal.h."""
    number = lsn // segment_size
    per_id = 0x100000000 // segment_size
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


class WalWindow:
    """Streams from the start of the backup until `stop_at` has been told and reached."""

    def __init__(self, pgconn: pq.abc.PGconn, slot: str, segment_size: int, clock: Clock) -> None:
        self._pgconn = pgconn
        self._slot = slot
        self._segment_size = segment_size
        self._clock = clock
        self._stop: Lsn | None = None
        self._abandoned = threading.Event()

    def stop_at(self, lsn: Lsn) -> None:
        """The backup ended here: stream up to it and no further. From any thread."""
        self._stop = lsn

    def abandon(self) -> None:
        """End soon, whatever is missing. From any thread."""
        self._abandoned.set()

    def events(self, start: Lsn, timeline: Timeline) -> Iterator[WalEvent]:
        """Segments from the one that holds `start` to the one that holds the stop."""
        if timeline > 1:
            yield self._history(timeline)
        position = Lsn(start - start % self._segment_size)
        command = (
            f'START_REPLICATION SLOT "{self._slot}" PHYSICAL {lsn_to_text(position)} '
            f"TIMELINE {timeline}"
        )
        self._pgconn.send_query(command.encode())
        result = self._pgconn.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            raise failure(self._pgconn, "starting the WAL stream")
        yield from _Cutter(self._segment_size, timeline).cut(self._data(position), position)

    def _history(self, timeline: Timeline) -> HistoryFile:
        result = self._pgconn.exec_(f"TIMELINE_HISTORY {timeline}".encode())
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise failure(self._pgconn, "reading the timeline history")
        name, content = result.get_value(0, 0) or b"", result.get_value(0, 1) or b""
        return HistoryFile(name.decode(), bytes(content))

    def _data(self, position: Lsn) -> Iterator[memoryview]:
        heard = told = self._clock.monotonic()
        while self._stop is None or position < self._stop:
            if self._abandoned.is_set():
                return
            size, raw = copy_data(self._pgconn, 1, "streaming WAL")
            now = self._clock.monotonic()
            if size == 0:
                self._wait_readable()
                if now - heard > STALL_SECONDS:
                    raise SourceStopped(
                        "the WAL stream has been silent for five minutes",
                        hint="see the server's log, and the network between agent and server",
                    )
            elif size < 0:
                raise SourceStopped(
                    "the server ended the WAL stream before the backup's end",
                    hint="the backup is tried again; see the server's log",
                )
            else:
                heard = now
                message = parse_wal_message(raw)
                if isinstance(message, WalData):
                    if message.start != position:
                        raise WalGap(f"WAL jumps from {position} to {message.start}")
                    position = Lsn(position + len(message.data))
                    yield message.data
                elif message.reply_now:
                    told = 0.0
            if now - told > _STATUS_SECONDS:
                self._tell(position)
                told = now

    def _wait_readable(self) -> None:
        select.select([self._pgconn.socket], [], [], 0.2)
        try:
            self._pgconn.consume_input()
        except psycopg.Error as error:
            raise failure(self._pgconn, "streaming WAL") from error

    def _tell(self, position: Lsn) -> None:
        microseconds = (self._clock.now().timestamp() - _EPOCH_2000) * 1_000_000
        self._pgconn.put_copy_data(status_update(position, position, microseconds))
        self._pgconn.flush()


class _Cutter:
    """Cuts a run of WAL into segment files."""

    def __init__(self, segment_size: int, timeline: Timeline) -> None:
        self._size = segment_size
        self._timeline = timeline

    def cut(self, chunks: Iterator[memoryview], position: Lsn) -> Iterator[WalEvent]:
        used = 0
        yield self._begin(position)
        for chunk in chunks:
            for part in self._parts(chunk, used):
                if used == self._size:
                    yield SegmentEnded()
                    yield self._begin(position)
                    used = 0
                yield SegmentData(part)
                used += len(part)
                position = Lsn(position + len(part))
        for part in self._parts(memoryview(bytes(self._size - used)), used):
            yield SegmentData(part)
        yield SegmentEnded()

    def _begin(self, position: Lsn) -> SegmentBegun:
        return SegmentBegun(segment_name(self._timeline, position, self._size), self._size)

    def _parts(self, chunk: memoryview, used: int) -> Iterator[memoryview]:
        """Cut a chunk at segment ends; `used` bytes of the current segment are taken."""
        start = 0
        while start < len(chunk):
            room = self._size - (used + start) % self._size
            yield chunk[start : start + room]
            start += room
