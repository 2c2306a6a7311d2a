"""What keeps log: seal a range, put it, report it, for as long as the lease lasts.

The vault's word alone counts: where a source goes on is what a report answers.
"""

import threading
from collections.abc import Callable
from typing import NoReturn, Protocol

import msgspec
import structlog
from blake3 import blake3

from strongroom.agent.access import OpenContainer
from strongroom.agent.backoff import pause_before
from strongroom.agent.backup.physical import key_of
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.wal.host_files import HostFiles
from strongroom.agent.wal.run import Run
from strongroom.agent.wal.sealing import RangeSealer
from strongroom.datastore.packs.wal_pack import seal_log
from strongroom.model.errors import (
    Corrupt,
    ObjectExists,
    Retry,
    SourceError,
    SourceStopped,
    StoreDenied,
    StoreError,
    VaultError,
)
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.seams import Chance, Clock
from strongroom.model.wal import (
    StreamOrder,
    WalHistory,
    WalMissing,
    WalPack,
    WalReply,
    WalReport,
    history_name,
    pack_name,
)
from strongroom.postgres.log.wal_joins import tail_of
from strongroom.postgres.log.wal_source import Found
from strongroom.postgres.log.wal_summary import summary_of
from strongroom.postgres.server.relation_names import RelationNames

REPORT_SECONDS = 10.0  # an idle stream says that it stands
_LOOK_SECONDS = 0.5  # between looks at the host's own files
_LONGEST_PAUSE = 5.0  # a server waits for nobody else: what it has lost by then is its newest log
_STOOD_SECONDS = 60.0  # a connection that stood so long was a good one
_Work = Callable[[], WalReply]


class Told(Protocol):
    """What a report says of a server: who it is, how far it is, what it keeps for us."""

    @property
    def found(self) -> Found:
        """Who it is."""

    @property
    def server_end(self) -> Lsn:
        """How far it was, when it was heard last."""

    @property
    def slot_kind(self) -> str:
        """Persistent | Temporary | None | Archive"""

    @property
    def waits(self) -> bool:
        """Whether nothing comes from it."""

    @property
    def why(self) -> str:
        """Why it comes late, or does not; empty where all is well."""


class Keeper:
    """Of one order. `gap`: what was lost and is not told yet."""

    def __init__(
        self,
        held: HeldLease,
        order: StreamOrder,
        files: HostFiles,
        open_container: OpenContainer,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self.held = held
        self.order = order
        self.conninfo = files.conninfo
        self.clock = clock
        self.names = RelationNames(files.conninfo, clock)
        self.gap: WalMissing | None = None
        self.lost = ""  # why log after what is kept cannot be had
        self.slot_bytes = order.slot_bytes
        self.given_up = threading.Event()  # what is on its way waits for nobody any more
        self.log = structlog.get_logger("strongroom.agent").bind(server=order.server)
        self._blobs = open_container(held, "wal")
        self._key = key_of(order.data_public_key, order.data_key_id)
        self._sealer = RangeSealer(self._key, clock, chance, self.log)
        self.files = files
        self._chance = chance

    def check(self) -> None:
        """Raises LeaseLost, Cancelled, and FilesChangedError or NotFound as `HostFiles.check`."""
        self.held.check()
        self.files.check()

    def pause(self, seconds: float) -> None:
        """Wait between two tries; leaves as `check` does."""
        until = self.clock.monotonic() + seconds
        while (rest := until - self.clock.monotonic()) > 0:
            self.held.pause(min(rest, _LOOK_SECONDS))
            self.check()

    def again(self, once: Callable[[], object]) -> NoReturn:
        """`once` and once more, until the lease ends or what cannot be mended is raised."""
        attempt = 0
        while True:
            self.check()
            began = self.clock.monotonic()
            try:
                once()
            except (SourceError, StoreError) as error:
                self.check()
                if isinstance(error, Corrupt | StoreDenied):
                    raise  # under a new epoch, and so under new names
                if self.clock.monotonic() - began > _STOOD_SECONDS:
                    attempt = 0
                self._say_waiting(error)
            attempt += 1
            self.pause(pause_before(attempt, self._chance, longest=_LONGEST_PAUSE))

    def _say_waiting(self, error: VaultError) -> None:
        self.log.warning("the WAL stream waits", why=error.message, kind=error.code)
        try:
            self.tell(WalReport(epoch=self.held.lease.epoch, state="Waiting", why=error.message))
        except VaultError as unheard:
            if unheard.retry is Retry.NEVER:
                raise
            self.log.warning("the control plane was not told", why=unheard.message)

    def tell(self, report: WalReport) -> WalReply:
        """One report, and what the vault has then."""
        held = self.held
        reply = held.client.wal(held.lease.operation_id, report, held.pause)
        self.slot_bytes = reply.slot_bytes or self.slot_bytes
        return reply

    def patiently(self, work: _Work) -> WalReply:
        """Until it is done: storage and the control plane may be away for a while."""
        attempt = 0
        while True:
            self.check()
            if self.given_up.is_set():
                raise SourceStopped("the server has let go of what follows")
            try:
                return work()
            except VaultError as error:
                if error.retry is Retry.NEVER:
                    raise
                self.log.warning("log waits to be kept", why=error.message, kind=error.code)
            self.pause(pause_before(attempt, self._chance))
            attempt += 1

    def keep(self, run: Run, source: Told, histories: list[WalHistory]) -> WalReply:
        """Seal a run, put it, report it -> how far the vault has it."""
        epoch = self.held.lease.epoch
        segment_size = source.found.system.wal_segment_size
        sealed = self._sealer.seal(run, segment_size)
        name = pack_name(run.timeline, run.start, epoch)
        tail = tail_of(run.start, run.raw, segment_size)
        pack = WalPack(
            name=name,
            size=len(sealed),
            blake3=blake3(sealed).digest(),
            timeline=run.timeline,
            start=run.start,
            end=run.end,
            tail_start=tail[0],
            tail=tail[1],
            unended=run.unended,
            summary=summary_of(run.events, self.names),
        )

        def work() -> WalReply:
            self._put(name, sealed)
            for each in histories:
                self._put_history(each)
            return self.report(source, [pack], histories)

        reply = self.patiently(work)
        self.gap, self.lost = None, ""
        progress = self.held.progress
        self.held.tell(
            msgspec.structs.replace(
                progress,
                step="Streaming",
                done_bytes=progress.done_bytes + len(run.raw),
                stored_bytes=progress.stored_bytes + len(sealed),
                note=lsn_to_text(Lsn(reply.end)),
            )
        )
        return reply

    def report(
        self,
        source: Told,
        packs: list[WalPack] | None = None,
        histories: list[WalHistory] | None = None,
    ) -> WalReply:
        """How the stream stands, and what is in storage."""
        system = source.found.system
        return self.tell(
            WalReport(
                epoch=self.held.lease.epoch,
                system_identifier=str(system.identifier),
                segment_size=system.wal_segment_size,
                version_number=system.version_number,
                packs=packs or [],
                histories=histories or [],
                gap=self.gap,
                timeline=system.timeline,
                server_lsn=source.server_end,
                state="Waiting" if source.waits else "Streaming",
                why=source.why,
                slot=source.slot_kind,
            )
        )

    def keep_history(self, source: Told, history: WalHistory) -> None:
        """Of a timeline, before any of its log."""

        def work() -> WalReply:
            self._put_history(history)
            return self.report(source, [], [history])

        self.patiently(work)

    def _put_history(self, history: WalHistory) -> None:
        text = history.text.encode()
        stored = seal_log(text, self._key, self.clock, self._chance)
        self._put(history_name(history.timeline, self.held.lease.epoch), stored)

    def _put(self, name: str, sealed: bytes) -> None:
        try:
            self._blobs.create(name, sealed)
        except ObjectExists:
            # The name holds our epoch, so it is ours: an answer that was lost. The control plane
            # compares what lies there with the digest that we report.
            return
