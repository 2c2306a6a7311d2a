"""Take a logical backup: pg_dump of each database in, chunks that the parent lacks out.

Several databases side by side, each through a stream of packs of its own. As with a physical one
nothing here is a recovery point; the control plane commits one.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from blake3 import blake3

from strongroom.agent.access import OpenContainer
from strongroom.agent.backup.held_by import HeldBy
from strongroom.agent.backup.physical import key_of, put_delta, writing
from strongroom.agent.backup.resume import PartialDeltas, stored_chunks
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.servers import ServerBook
from strongroom.datastore.care.partial import ChunksSoFar
from strongroom.datastore.dumps.chunks import ChunkBook, ChunkedFile, ChunkStream, Keys
from strongroom.datastore.dumps.dump_map import delta_of_dump, dump_source
from strongroom.datastore.maps.delta import seal_delta
from strongroom.datastore.maps.manifest import Written
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import Cancelled, Invalid, SourceError
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.logical import EXTENSIONS, GLOBALS, LOGICAL, PARAMETERS
from strongroom.model.work.operation import (
    BackupOrder,
    BackupResult,
    Completion,
    ParentRequest,
    Progress,
)
from strongroom.postgres.dump.dump import (
    Survey,
    as_json,
    dump_database,
    dump_globals,
    dump_tools,
    file_of,
    note_gone,
    survey,
    warnings_of,
)
from strongroom.postgres.server.client import Client, Program, client_of
from strongroom.postgres.server.tools import Tools

_PIECE = 1 << 20  # bytes read of a dump at once
_LOST = " not dumped "  # in a warning of pg_dump that ends well: subscriptions, for one


def take_dump(
    held: HeldLease,
    book: ServerBook,
    open_container: OpenContainer,
    clock: Clock,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. On any failure what was written is garbage, and no program is left.

    Raises SourceError, ToolsMissing, StoreError, NotFound, Invalid, LeaseLost, Cancelled.
    """
    order = _order_of(held)
    catalogue_key = key_of(order.catalogue_public_key, order.catalogue_key_id)
    conninfo = book.conninfo(order.server)
    held.tell(Progress(step="Connecting"))
    found = survey(conninfo)
    tools = dump_tools(found.version_number)
    earlier = stored_chunks(held, order)
    chunks = _chunk_book(held, order, earlier)
    about = dump_source(found.version_number, found.system_identifier)
    blobs = open_container(held, "packs")
    with (
        client_of(conninfo) as client,
        writing(blobs, order, clock, chance, share) as writer,
        held.when_stopped(writer.abort_soon),
    ):
        source = _Source(tools, client, found)
        partials = PartialDeltas(held, order, open_container, catalogue_key, writer, clock, chance)
        look = partial(partials.look, ChunksSoFar(writer, chunks).delta, about)
        dumping = _Dumping(held, source, writer, chunks, look, clock)
        dumping.all(share.lanes)
        done, stored = held.progress.done_bytes, writer.stored_bytes
        held.next_step("Writing", total_bytes=done, stored_bytes=stored)
        written = writer.finish()
    held.check()
    delta = delta_of_dump(written, chunks, about)
    sealed = seal_delta(delta, catalogue_key, clock, chance)
    put_delta(open_container(held, "delta"), order.delta_name, sealed)
    result = _result(written, found, sealed)
    result.resumed = bool(earlier)
    return Completion(epoch=held.lease.epoch, backup=result)


def _order_of(held: HeldLease) -> BackupOrder:
    order = held.lease.backup
    if order is None or order.dump is None:
        raise Invalid("not an order to dump")
    return order


def _chunk_book(held: HeldLease, order: BackupOrder, known: bytes) -> ChunkBook:
    """The parent's digests are asked for once; nothing in storage is read. `known`: those that an
    earlier try has stored, the parent's among them; none without one.
    """
    if order.dump is None:
        raise Invalid("not an order to dump")
    if order.dump.parent and not known:
        request = ParentRequest(epoch=held.lease.epoch, logical=True)
        known = held.client.parent(held.lease.operation_id, request, held.pause).chunk_keys
    return ChunkBook(order.dump.chunk_key, Keys(known))


@dataclass(frozen=True, slots=True)
class _Source:
    tools: Tools
    client: Client
    found: Survey

    def programs(self) -> list[tuple[str, str]]:
        """(file, database; empty: the globals), the largest first, so that lanes end together."""
        names = sorted(self.found.databases, key=lambda name: -self.found.databases[name])
        return [*((file_of(name), name) for name in names), (GLOBALS, "")]

    def is_gone(self, database: str) -> bool:
        """Since it was listed; it is told as such then. Raises SourceError."""
        return note_gone(self.client.conninfo, database, self.found)

    def start(self, database: str) -> Program:
        if not database:
            return dump_globals(self.tools, self.client, self.found)
        return dump_database(self.tools, self.client, database, self.found)


class _Dumping:
    """The lanes of one dump."""

    def __init__(
        self,
        held: HeldLease,
        source: _Source,
        writer: DatastoreWriter,
        chunks: ChunkBook,
        look: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._held = held
        self._source = source
        self._writer = writer
        self._chunks = chunks
        self._mtime = int(clock.now().timestamp())
        self._look = look
        self._held_by = HeldBy(clock, writer)
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._waiting = source.programs()
        self._failure: BaseException | None = None
        total = sum(source.found.databases.values())
        self._progress = Progress(step="Reading", total_bytes=total)

    def all(self, lanes: int) -> None:
        """Every database and what goes with them. Raises the first failure."""
        self._held.tell(self._progress)
        with ThreadPoolExecutor(lanes, thread_name_prefix="dump") as pool:
            for _ in range(lanes):
                pool.submit(self._lane)
        if self._failure is not None:
            raise self._failure
        found = self._source.found
        stream = ChunkStream(self._writer)
        for path, told in ((PARAMETERS, found.parameters), (EXTENSIONS, found.extensions)):
            self._store(stream, path, [as_json(dict(told))])
        stream.close()

    def _lane(self) -> None:
        stream = ChunkStream(self._writer)
        try:
            while (task := self._next()) is not None:
                self._dump(stream, *task)
            stream.close()
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            raise

    def _next(self) -> tuple[str, str] | None:
        with self._lock:
            stop = self._failure is not None or not self._waiting
            return None if stop else self._waiting.pop(0)

    def _dump(self, stream: ChunkStream, path: str, database: str) -> None:
        self._held.check()
        try:
            with (
                self._source.start(database) as program,
                self._held.when_stopped(program.kill),
            ):
                pieces = self._held_by.reading(program.pieces(_PIECE))
                self._store(stream, path, pieces, program)
        except SourceError:
            self._held.check()
            if not database or not self._source.is_gone(database):
                raise

    def _store(
        self,
        stream: ChunkStream,
        path: str,
        pieces: Iterable[bytes],
        program: Program | None = None,
    ) -> None:
        """A file is ended only when its program has ended well: half a dump is none."""
        file = ChunkedFile(self._writer, stream, self._chunks, path)
        for data in pieces:
            self._held.check()
            if self._failure is not None:
                raise Cancelled("another database could not be dumped")
            file.write(data)
            self._advance(len(data))
            if self._looking.acquire(blocking=False):
                try:
                    self._look()
                finally:
                    self._looking.release()
        if program is not None:
            said = program.finish()
            self._source.found.not_dumped += [f"{path}: {line}" for line in said if _LOST in line]
        file.end(self._mtime)
        self._advance(0, files=1)

    def _advance(self, count: int, files: int = 0) -> None:
        with self._lock:
            progress = self._progress
            progress.done_bytes += count
            progress.total_bytes = max(progress.total_bytes, progress.done_bytes)
            progress.stored_bytes = self._writer.stored_bytes
            progress.files += files
            progress.held_by = self._held_by.told()


def _result(written: Written, found: Survey, sealed: bytes) -> BackupResult:
    extensions: dict[str, str] = {}
    for each in found.extensions.values():
        extensions |= each
    return BackupResult(
        kind=LOGICAL,
        delta_size=len(sealed),
        delta_blake3=blake3(sealed).digest(),
        raw_bytes=sum(file.size for file in written.files),
        stored_bytes=sum(pack.size for pack in written.packs) + len(sealed),
        files=len(written.files),
        packs=len(written.packs),
        start_lsn="0/0",
        stop_lsn="0/0",
        timeline=0,
        version_number=found.version_number,
        system_identifier=str(found.system_identifier or ""),
        databases=found.databases,
        extensions=extensions,
        read_bytes=written.raw_bytes,
        warnings=[warning.to_dict() for warning in warnings_of(found)],
    )
