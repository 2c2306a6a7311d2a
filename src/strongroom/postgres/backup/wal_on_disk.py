"""The write-ahead log of a backup's window out of pg_wal, where no replication is granted.

It is read as the server writes it, a page behind what is flushed: nothing holds it for us, and a
checkpoint may take away what was written before it. Each page says where in the log it belongs, so
that a segment which was recycled is never taken for another; one that is gone ends the backup.
Source: PostgreSQL src/include/access/xlog_internal.h, XLogPageHeaderData.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from strongroom.model.errors import SourceStopped, WalGap
from strongroom.model.postgres import Lsn, Timeline, lsn_from_text, lsn_to_text, major_of
from strongroom.model.seams import Clock
from strongroom.postgres.backup.data_directory import reading
from strongroom.postgres.backup.low_level import LowLevelBackup
from strongroom.postgres.log.wal_summary import is_log, server_of
from strongroom.postgres.log.walstream import LogWindow, segment_name
from strongroom.postgres.server.connect import Conninfo, session
from strongroom.postgres.server.replication import Replication
from strongroom.postgres.server.silence import STALL_SECONDS
from strongroom.postgres.server.system import System
from strongroom.postgres.wire.wal import PAGE

_PIECE = 1 << 20  # bytes that are read at once
_LOOK_SECONDS = 0.25
_FLUSHED = """
select case when pg_is_in_recovery()
       then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
       else pg_current_wal_flush_lsn() end
"""
_SUMMARIZED = "select summarized_tli, summarized_lsn from pg_get_wal_summarizer_state()"
_READING = "reading write-ahead log from the disk"
_HOLD = (
    "Set wal_keep_size to what the server writes in a few minutes (no restart is needed), or give "
    "the role REPLICATION; it is tried again."
)


class LogFiles:
    """The directory pg_wal of one server, or the one that its link leads to."""

    def __init__(self, data_directory: Path) -> None:
        self.path = data_directory / "pg_wal"
        with reading(self.path):
            self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._directory)

    def history(self, timeline: int) -> bytes:
        """The history file of a timeline. Raises WalGap when it is not there."""
        name = f"{timeline:08X}.history"
        try:
            return self._read(name, 1 << 20, 0)
        except WalGap as error:
            raise WalGap(
                f"the history of the server's timeline {timeline} is gone: {self.path / name}",
                hint=f"Copy {name} there from where its log is archived, or from pg_wal of "
                "another server of this system, for the server's user; it is tried again.",
            ) from error

    def read(self, system: System, timeline: Timeline, start: Lsn, length: int) -> bytes:
        """So much log, of one segment, from the beginning of a page on.

        Raises WalGap when the server has it no more.
        """
        size = system.wal_segment_size
        name = segment_name(timeline, start, size)
        found = self._read(name, length, start % size)
        owner = server_of(found, start)
        if len(found) < length or not is_log(found, start) or owner not in _own(system):
            raise WalGap(f"{self.path / name} holds other log by now", hint=_HOLD)
        return found

    def _read(self, name: str, length: int, offset: int) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with reading(self.path / name):
                file = os.open(name, flags, dir_fd=self._directory)
                try:
                    return os.pread(file, length, offset)
                finally:
                    os.close(file)
        except FileNotFoundError as error:
            gone = f"write-ahead log that the backup needs is gone: {self.path / name}"
            raise WalGap(gone, hint=_HOLD) from error


def _own(system: System) -> tuple[tuple[str, int] | None, ...]:
    """What may be told of whose log it is: a segment's first page tells, all others do not."""
    return (str(system.identifier), system.wal_segment_size), None


class Beside:
    """A server that is asked by SQL, its data directory at hand."""

    def __init__(self, server: Replication, data_directory: Path) -> None:
        self._server = server
        self.data_directory = data_directory

    def rows(self, command: str, what: str) -> list[list[bytes]]:
        """What it answers."""
        return self._server.rows(command, what)

    def history(self, timeline: int) -> bytes:
        """As it lies beside the log."""
        with closing(LogFiles(self.data_directory)) as files:
            return files.history(timeline)

    def summarized(self) -> tuple[Timeline, Lsn]:
        """How far its WAL summaries go (PostgreSQL 17 and later)."""
        timeline, lsn = self.rows(_SUMMARIZED, "asking how far its summaries go")[0]
        return Timeline(int(timeline)), lsn_from_text(lsn.decode())


class DiskWindow(LogWindow):
    """By SQL, and out of `data_directory`."""

    def __init__(self, conninfo: Conninfo, clock: Clock, *, data_directory: Path) -> None:
        super().__init__(conninfo, clock)
        self._data_directory = data_directory
        self._woken = threading.Event()

    def _open(self) -> None:
        self._server = self._stack.enter_context(session(self._conninfo, self._check))
        held = LowLevelBackup(self._server, major_of(self._server.version_number))
        self._system = held.system()
        self._files = LogFiles(self._data_directory)
        self._stack.callback(self._files.close)

    def _wake(self) -> None:
        self._woken.set()

    def _history(self, timeline: Timeline) -> bytes:
        return self._files.history(timeline)

    def _chunks(self, position: Lsn, timeline: Timeline) -> Iterator[memoryview]:
        """Whole pages, but for the last, which ends with the backup."""
        moved, size = self._clock.monotonic(), self._system.wal_segment_size
        while self._stop is None or position < self._stop:
            self._check()
            end = self._readable()
            if position < end:
                length = min(end - position, _PIECE, size - position % size)
                yield memoryview(self._files.read(self._system, timeline, position, length))
                position, moved = Lsn(position + length), self._clock.monotonic()
            elif self._stop is None:
                self._woken.wait(_LOOK_SECONDS)
                moved = self._clock.monotonic()
            elif self._clock.monotonic() - moved > STALL_SECONDS:
                missing = lsn_to_text(position)
                raise SourceStopped(f"no log came after {missing} for {STALL_SECONDS:.0f} seconds")
            else:
                self._clock.sleep(_LOOK_SECONDS)

    def _readable(self) -> int:
        """Up to the stop once it is known, and to the last whole page before."""
        stop = self._stop
        (row,) = self._server.rows(_FLUSHED, _READING)
        flushed = lsn_from_text(row[0].decode())
        return flushed - flushed % PAGE if stop is None else min(flushed, stop)

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise SourceStopped("the WAL that was being read was abandoned")
