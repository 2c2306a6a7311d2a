"""Take a physical backup, full or an increment: PostgreSQL in, packs and one delta out.

The packs are sealed to the data key and the delta to the catalogue key: this process can open
neither once they are written. Nothing here is a recovery point; the control plane commits one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from blake3 import blake3

from strongroom.agent.access import OpenContainer
from strongroom.agent.backup.copy_server import Copied, Reading, copy_server
from strongroom.agent.backup.parent import other_history, parent_of
from strongroom.agent.backup.resume import PartialDeltas, stored_of
from strongroom.agent.backup.source import way_of
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.servers import ServerBook
from strongroom.datastore.care.partial import SoFar
from strongroom.datastore.maps.delta import Delta, delta_of, seal_delta
from strongroom.datastore.maps.manifest import Source, Written, tablespace_sizes
from strongroom.datastore.maps.page_parts import store_page_versions
from strongroom.datastore.packs.seal import PublicKey
from strongroom.datastore.places.blobs import Blobs, Creates
from strongroom.datastore.places.throttle import PacedBlobs
from strongroom.datastore.writing.writer import DatastoreWriter, RawStream
from strongroom.model.errors import Conflict, Invalid, ObjectExists, Precondition, from_dict
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.protection.backup_type import DISK_ALONE, is_denied
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import (
    BackupOrder,
    BackupResult,
    Completion,
    Progress,
    ServerFacts,
)
from strongroom.postgres.backup.check import look
from strongroom.postgres.backup.incremental import Increment
from strongroom.postgres.log.wal_joins import HINT, joined_server


def take_backup(
    held: HeldLease,
    book: ServerBook,
    open_container: OpenContainer,
    clock: Clock,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. On any failure what was written is garbage, and no connection is left.

    Raises SourceError, StoreError, NotFound, Invalid, LeaseLost, Cancelled.
    """
    order = _order_of(held)
    catalogue_key = key_of(order.catalogue_public_key, order.catalogue_key_id)
    conninfo = book.conninfo(order.server)
    held.tell(Progress(step="Connecting"))
    facts = _ready(look(conninfo, order.server, book.source(order.server)))
    if facts.way != DISK_ALONE:
        conninfo = joined_server(conninfo, order.log, clock, held.check)
    parent = parent_of(held, order)
    other = "" if parent is None else other_history(conninfo, facts, parent)
    increment = Increment(parent, stored_of(held, order), other)
    blobs = open_container(held, "packs")
    within = writing(blobs, order, clock, chance, share)
    with within as writer, held.when_stopped(writer.abort_soon):

        def settled() -> None:
            if not increment.is_full and order.parent is not None:
                writer.write_to(open_container(held, "parent"), order.parent.generation)

        way = way_of(book, facts, conninfo, order.parallelism)
        partials = PartialDeltas(held, order, open_container, catalogue_key, writer, clock, chance)

        def begun(source: Source, stream: RawStream) -> Callable[[], None]:
            so_far = SoFar(writer, stream, increment.versions)
            return partial(partials.look, so_far.delta, source)

        reading = Reading(conninfo, increment, settled, begun, facts.in_recovery, way)
        copied = copy_server(held, reading, writer, clock)
        done, stored = held.progress.done_bytes, writer.stored_bytes
        held.next_step("Writing", total_bytes=done, stored_bytes=stored)
        written = writer.finish()
    held.check()
    delta = delta_of(written, copied.source, copied.pg_manifest)
    scope = "packs" if increment.is_full else "parent"
    beside = PacedBlobs(open_container(held, scope), share.pace, held.pause)
    _store_versions(delta, increment, order, beside, clock, chance)
    sealed = seal_delta(delta, catalogue_key, clock, chance)
    put_delta(open_container(held, "delta"), order.delta_name, sealed)
    result = _result(written, copied, facts, sealed)
    result.kind = "Full" if increment.is_full else "Incremental"
    result.why_full = increment.why if increment.is_full else ""
    result.stored_bytes += sum(part.size for part in delta.page_parts)
    result.resumed = increment.resumes
    if other and increment.why == other:
        result.warnings.append(Conflict(other, hint=HINT).to_dict())
    return Completion(epoch=held.lease.epoch, backup=result)


def _order_of(held: HeldLease) -> BackupOrder:
    if held.lease.backup is None:
        raise Invalid("not an order to take a backup")
    return held.lease.backup


def _store_versions(
    delta: Delta,
    increment: Increment,
    order: BackupOrder,
    blobs: Creates,
    clock: Clock,
    chance: Chance,
) -> None:
    """Page versions: in the delta, or, where there are many, beside the packs."""
    key = key_of(order.catalogue_public_key, order.catalogue_key_id)
    generation = order.generation
    if not increment.is_full and order.parent is not None:
        generation = order.parent.generation
    place = blobs, generation, key, clock, chance
    delta.page_versions, delta.page_parts = store_page_versions(increment.page_versions, *place)


def _ready(facts: ServerFacts) -> ServerFacts:
    if facts.problems:
        raise from_dict(next(filter(is_denied, facts.problems), facts.problems[0]))
    if not facts.ready:
        raise Precondition(f"server {facts.name} is not ready to be backed up")
    return facts


@contextmanager
def writing(
    blobs: Blobs, order: BackupOrder, clock: Clock, chance: Chance, share: Share
) -> Iterator[DatastoreWriter]:
    """A writer that is given up when anything goes wrong."""
    key = key_of(order.data_public_key, order.data_key_id)
    level = order.compression_level
    writer = DatastoreWriter(
        blobs,
        order.generation,
        key,
        clock,
        chance,
        level=level,
        workers=share.workers,
        pack_raw_size=share.pack_raw_size,
        pace=share.pace,
    )
    try:
        yield writer
    except BaseException:
        writer.abort()
        raise


def key_of(raw: bytes, key_id: bytes) -> PublicKey:
    key = PublicKey.from_bytes(raw)
    if key.key_id != key_id:
        raise Invalid("a public key in the order is not the one that its id names")
    return key


def put_delta(blobs: Blobs, name: str, sealed: bytes) -> None:
    try:
        blobs.create(name, sealed)
    except ObjectExists:
        # The name holds our epoch, so it is ours: an answer that was lost. The control plane
        # compares what lies there with the digest that we report.
        return


def _result(written: Written, copied: Copied, facts: ServerFacts, sealed: bytes) -> BackupResult:
    source = copied.source
    return BackupResult(
        delta_size=len(sealed),
        delta_blake3=blake3(sealed).digest(),
        raw_bytes=sum(file.size for file in written.files),
        stored_bytes=sum(pack.size for pack in written.packs) + len(sealed),
        files=sum(file.kind not in {"directory", "link"} for file in written.files),
        packs=len(written.packs),
        start_lsn=lsn_to_text(Lsn(source.start_lsn)),
        stop_lsn=lsn_to_text(Lsn(source.stop_lsn)),
        timeline=source.timeline,
        version_number=source.version_number,
        system_identifier=str(source.system_identifier),
        databases=facts.databases,
        extensions=facts.extensions,
        read_bytes=written.raw_bytes,
        tablespaces=tablespace_sizes(written.files),
        warnings=[warning.to_dict() for warning in copied.warnings],
    )
