"""PostgreSQL's events in, a writer's streams out: data on one connection, WAL on another."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from strongroom.agent.backup.held_by import HeldBy
from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.maps.manifest import FileFacts, Source
from strongroom.datastore.writing.writer import DatastoreWriter, RawStream
from strongroom.model.errors import SourceStopped, VaultError
from strongroom.model.postgres import PAGE
from strongroom.model.seams import Clock
from strongroom.model.work.operation import Progress
from strongroom.postgres.backup.incremental import Increment
from strongroom.postgres.backup.physical import Way, physical_backup
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.events import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    FilePages,
    ManifestData,
    Started,
    WalEvent,
    Warned,
)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was read, PostgreSQL's own list of it, and what a person should mend."""

    source: Source
    pg_manifest: bytes
    warnings: tuple[VaultError, ...]


def _nothing() -> None:
    """Where nobody wants to look."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read: `increment` leans on a parent or on nothing; `settled` is called when it
    is known which, before the first byte is written. `begun` is given the source and the stream of
    its files; what it returns is called after each piece of one.
    """

    conninfo: Conninfo
    increment: Increment
    settled: Callable[[], None]
    begun: Callable[[Source, RawStream], Callable[[], None]] = lambda *_: _nothing
    in_recovery: bool = False
    way: Way = field(default_factory=Way)


def copy_server(
    held: HeldLease, reading: Reading, writer: DatastoreWriter, clock: Clock
) -> Copied:
    """Read the server into the writer; its log of that time goes into a stream of its own.

    Both connections are closed on the way out, whatever happens.
    """
    log, way = writer.stream(), reading.way
    events = physical_backup(
        reading.conninfo,
        f"strongroom {held.lease.operation_id}",
        partial(_store_file, log),
        clock,
        watch=held.check,
        way=replace(way, base=partial(way.base, prepare=reading.increment.prepare)),
    )
    with closing(events):
        parts = reading.increment.events(events, in_recovery=reading.in_recovery)
        copied = _copy(held, reading, parts, writer, HeldBy(clock, writer))
    log.close()
    return copied


def _copy(
    held: HeldLease,
    reading: Reading,
    events: Iterable[Event],
    writer: DatastoreWriter,
    held_by: HeldBy,
) -> Copied:
    stream = writer.stream(digests=True)
    progress = Progress(step="Reading")
    started: Started | None = None
    pg_manifest = bytearray()
    warnings: list[VaultError] = []
    look = _nothing
    for event in held_by.reading(events):
        held.check()
        match event:
            case Started():
                started = event
                reading.settled()
                progress.note = reading.increment.note
                look = reading.begun(_source(event, event.start_lsn), stream)
                progress.total_bytes = event.estimated_bytes
                held.tell(progress)
            case Warned(warning):
                warnings.append(warning)
            case FileBegun() | FileData() | FilePages() | FileEnded():
                _store_file(stream, event)
                _advance(progress, writer, event)
                progress.held_by = held_by.told()
                look()
            case ManifestData(data):
                pg_manifest += data
            case Ended() if started is not None:
                stream.close()
                source = _source(started, event.stop_lsn)
                return Copied(source, bytes(pg_manifest), tuple(warnings))
            case Ended():
                break
    raise SourceStopped("the server ended the backup without its end")


def _store_file(stream: RawStream, event: WalEvent) -> None:
    match event:
        case FileBegun():
            stream.begin_file(_facts_of(event), kept=event.kept)
        case FileData(data):
            stream.write(data)
        case FilePages(blocks, data):
            stream.write_pages(blocks, data)
        case FileEnded():
            stream.end_file()


def _advance(progress: Progress, writer: DatastoreWriter, event: WalEvent) -> None:
    """The server's estimate may be short of what comes."""
    match event:
        case FileData(data) | FilePages(_, data):
            progress.done_bytes += len(data)
            progress.total_bytes = max(progress.total_bytes, progress.done_bytes)
            progress.stored_bytes = writer.stored_bytes
        case FileEnded():
            progress.files += 1
        case _:
            return


def _facts_of(file: FileBegun) -> FileFacts:
    holds_bytes = file.kind not in {"directory", "link"}
    return FileFacts(
        path=file.path,
        size=file.size if holds_bytes else 0,
        mode=file.mode,
        mtime=file.mtime,
        kind=file.kind,
        link=file.link,
    )


def _source(started: Started, stop: int) -> Source:
    return Source(
        version_number=started.version_number,
        system_identifier=started.system_identifier,
        timeline=started.timeline,
        start_lsn=started.start_lsn,
        stop_lsn=stop,
        checksums=started.checksums,
        block_size=PAGE,
        wal_segment_size=started.wal_segment_size,
    )
