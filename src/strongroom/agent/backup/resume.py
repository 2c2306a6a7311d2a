"""Going on with a backup that broke off: asked at the beginning, told while it is under way."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.care.partial import Due
from strongroom.datastore.maps.delta import Delta, seal_delta
from strongroom.datastore.maps.manifest import Source
from strongroom.datastore.maps.page_parts import PageVersions
from strongroom.datastore.packs.seal import PublicKey
from strongroom.datastore.places.blobs import Creates
from strongroom.datastore.writing.writer import DatastoreWriter
from strongroom.model.errors import ObjectExists
from strongroom.model.postgres import SystemIdentifier, Timeline, lsn_from_text
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import BackupOrder
from strongroom.model.work.resume import ResumeReply, ResumeRequest
from strongroom.postgres.backup.incremental import Stored

SCOPE = "partial"  # of the SAS for partial deltas


def stored_of(held: HeldLease, order: BackupOrder) -> Stored | None:
    """What earlier tries have stored of a physical backup; None when there is nothing."""
    told = _ask(held, order)
    if not told.parts:
        return None

    def fetch(part: int) -> dict[str, bytes]:
        return _ask(held, order, part=part).page_versions

    return Stored(
        system_identifier=SystemIdentifier(int(told.system_identifier)),
        timeline=Timeline(told.timeline),
        starts={path: lsn_from_text(p.start_lsn) for p in told.parts for path in p.paths},
        page_versions=PageVersions({}, [part.paths for part in told.parts], fetch),
    )


def stored_chunks(held: HeldLease, order: BackupOrder) -> bytes:
    """The digests of the chunks that earlier tries of a dump have stored, sorted."""
    return _ask(held, order, logical=True).chunk_keys


def _ask(
    held: HeldLease, order: BackupOrder, *, logical: bool = False, part: int = -1
) -> ResumeReply:
    if not order.resume:
        return ResumeReply()
    request = ResumeRequest(epoch=held.lease.epoch, logical=logical, part=part)
    return held.client.resume(held.lease.operation_id, request, held.pause)


@dataclass(slots=True)
class PartialDeltas:
    """Puts a partial delta whenever a pack was sent, or several. For one thread at a time.

    A control plane that gives no access for them gets none.
    """

    held: HeldLease
    order: BackupOrder
    open_container: OpenContainer
    catalogue_key: PublicKey
    writer: DatastoreWriter
    clock: Clock
    chance: Chance
    _count: int = 0
    _due: Due = field(init=False)
    _place: Creates | None = None

    def __post_init__(self) -> None:
        self._due = Due(self.writer, self.clock)

    def look(self, delta: Callable[[Source], Delta | None], source: Source) -> None:
        """Put one, if it is time for it. Raises StoreError, LeaseLost, Cancelled."""
        if not self.order.resume or not self._due():
            return
        begun = self.clock.monotonic()
        size = self._put(delta(source))
        self._due.put(size, self.clock.monotonic() - begun)

    def _put(self, found: Delta | None) -> int:
        """Its bytes in storage; 0 where there is nothing to tell."""
        if found is None:
            return 0
        sealed = seal_delta(found, self.catalogue_key, self.clock, self.chance)
        name = f"{self.order.delta_name.removesuffix('.delta')}/{self._count}.delta"
        self._count += 1
        if self._place is None:
            self._place = self.open_container(self.held, SCOPE)
        # The name holds our epoch: when it exists, an answer was lost.
        with suppress(ObjectExists):
            self._place.create(name, sealed)
        return len(sealed)
