"""PostgreSQL's events in, a writer's streams out: data on one connection, WAL on another."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.wake import cut_when_stopped
from strongroom.datastore.manifest import FileFacts, Source
from strongroom.datastore.writer import DatastoreWriter, RawStream
from strongroom.model.errors import SourceStopped
from strongroom.model.operation import Progress
from strongroom.model.postgres import Lsn, Timeline
from strongroom.model.seams import Chance, Clock
from strongroom.postgres.basebackup import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    Started,
    System,
    base_backup,
    identify,
)
from strongroom.postgres.connect import Conninfo, replication
from strongroom.postgres.walstream import (
    HistoryFile,
    SegmentBegun,
    SegmentData,
    SegmentEnded,
    WalEvent,
    WalWindow,
    reserve_wal,
)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was read, and PostgreSQL's own list of it."""

    source: Source
    pg_manifest: bytes


def copy_server(
    held: HeldLease, conninfo: Conninfo, writer: DatastoreWriter, clock: Clock, chance: Chance
) -> Copied:
    """Read the whole server into the writer; its log of that time goes into a stream of its own.

    The slot is made before the backup begins, so that no log it needs can be recycled. Both
    connections are closed on the way out, whatever happens.
    """
    slot = f"strongroom_{chance.bytes(8).hex()}"
    with (
        replication(conninfo) as log,
        replication(conninfo) as data,
        cut_when_stopped(held, log.socket, data.socket),
    ):
        system = identify(data)
        reserve_wal(log, slot)
        window = WalWindow(log, slot, system.wal_segment_size, clock)
        events = base_backup(data, label=f"strongroom {held.lease.operation_id}")
        with WalCopy(window, writer.stream()) as wal:
            return _copy(held, events, writer, wal, system)


class WalCopy:
    """Copies segments in a thread beside the backup, from its start to its stop."""

    def __init__(self, window: WalWindow, stream: RawStream) -> None:
        self._window = window
        self._stream = stream
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wal")
        self._copying: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._window.abandon()
        self._thread.shutdown(wait=True)

    def begin(self, start: Lsn, timeline: Timeline) -> None:
        """The backup has begun here."""
        self._copying = self._thread.submit(self._copy, start, timeline)

    def check(self) -> None:
        """Raise what the thread has failed with."""
        if self._copying is not None and self._copying.done():
            self._copying.result()

    def end(self, stop: Lsn) -> None:
        """The backup ended here: wait for the last segment."""
        if self._copying is None:
            raise SourceStopped("the backup ended before it began")
        self._window.stop_at(stop)
        self._copying.result()

    def _copy(self, start: Lsn, timeline: Timeline) -> None:
        for event in self._window.events(start, timeline):
            _store_wal(self._stream, event)
        self._stream.close()


def _store_wal(stream: RawStream, event: WalEvent) -> None:
    match event:
        case SegmentBegun(name, size):
            stream.begin_file(_wal_file(name, size))
        case SegmentData(data):
            stream.write(data)
        case SegmentEnded():
            stream.end_file()
        case HistoryFile(name, content):
            stream.begin_file(_wal_file(name, len(content)))
            stream.write(content)
            stream.end_file()


def _wal_file(name: str, size: int) -> FileFacts:
    return FileFacts(path=f"pg_wal/{name}", size=size, mode=0o600, mtime=0, kind="wal")


def _copy(
    held: HeldLease,
    events: Iterable[Event],
    writer: DatastoreWriter,
    wal: WalCopy,
    system: System,
) -> Copied:
    stream = writer.stream()
    progress = Progress(step="Reading")
    held.tell(progress)
    started: Started | None = None
    for event in events:
        held.check()
        wal.check()
        match event:
            case Started():
                started = event
                progress.total_bytes = event.estimated_bytes
                wal.begin(event.start_lsn, event.timeline)
            case FileBegun():
                stream.begin_file(_facts_of(event))
            case FileData(data):
                stream.write(data)
                _advance(progress, writer, len(data))
            case FileEnded():
                stream.end_file()
                progress.files += 1
            case Ended() if started is not None:
                stream.close()
                wal.end(event.stop_lsn)
                return Copied(_source(system, started, event), event.pg_manifest)
            case Ended():
                break
    raise SourceStopped("the server ended the backup without its end")


def _advance(progress: Progress, writer: DatastoreWriter, count: int) -> None:
    """The server's estimate may be short of what comes."""
    progress.done_bytes += count
    progress.total_bytes = max(progress.total_bytes, progress.done_bytes)
    progress.stored_bytes = writer.stored_bytes


def _facts_of(file: FileBegun) -> FileFacts:
    holds_bytes = file.kind in {"main", "other"}
    return FileFacts(
        path=file.path,
        size=file.size if holds_bytes else 0,
        mode=file.mode,
        mtime=file.mtime,
        kind=file.kind,
        link=file.link,
    )


def _source(system: System, started: Started, ended: Ended) -> Source:
    return Source(
        version_number=system.version_number,
        system_identifier=system.identifier,
        timeline=started.timeline,
        start_lsn=started.start_lsn,
        stop_lsn=ended.stop_lsn,
        checksums=system.checksums,
        block_size=system.block_size,
        wal_segment_size=system.wal_segment_size,
    )
