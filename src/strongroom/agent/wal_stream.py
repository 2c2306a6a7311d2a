"""Stream the log of a server into the vault, for as long as the lease lasts.

One thread takes what the server sends, another seals it, puts it and reports it; what the control
plane says is kept goes back to the server. The vault's word alone counts: after whatever broke,
the stream goes on from there, or what is missing is told with its bounds.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSoon
from dataclasses import replace
from typing import NoReturn

import msgspec
import structlog
from blake3 import blake3

from strongroom.agent.access import OpenContainer
from strongroom.agent.backoff import pause_before
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.agent.take_backup import key_of
from strongroom.agent.wal_run import Run, Runs
from strongroom.datastore.wal_pack import seal_log
from strongroom.model.errors import (
    Cancelled,
    Corrupt,
    Invalid,
    ObjectExists,
    Retry,
    SourceError,
    SourceStopped,
    StoreDenied,
    StoreError,
    VaultError,
    WalGap,
)
from strongroom.model.operation import Completion, Progress
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
from strongroom.postgres.connect import Conninfo, replication
from strongroom.postgres.relation_names import RelationNames
from strongroom.postgres.wal_source import (
    NONE,
    Kept,
    Place,
    WalSource,
    drop_slot,
    place_after,
    position_of,
    slot_name,
)
from strongroom.postgres.wal_summary import summary_of

_IN_FLIGHT = 2  # runs that are sealed and not kept yet
_TURN_SECONDS = 0.25
_LOOK_SECONDS = 10.0  # between looks at how much the server keeps for us
_REPORT_SECONDS = 10.0  # an idle stream says that it stands
_STOOD_SECONDS = 60.0  # a connection that stood so long was a good one
_Work = Callable[[], WalReply]


def stream_wal(
    held: HeldLease, book: ServerBook, open_container: OpenContainer, clock: Clock, chance: Chance
) -> Completion:
    """Until the lease ends: raises LeaseLost or Cancelled then, and what cannot be mended."""
    order = held.lease.stream
    if order is None:
        raise Invalid("not an order to stream")
    stream = _Stream(held, order, book.conninfo(order.server), open_container, clock, chance)
    try:
        stream.work()
    except Cancelled:
        if not held.offer_again:
            stream.let_go()
        raise


class _HeldTooMuchError(SourceStopped):
    """The bound of what the server keeps for us."""


class _Stream:
    """What lives as long as the lease does: connections come and go."""

    def __init__(
        self,
        held: HeldLease,
        order: StreamOrder,
        conninfo: Conninfo,
        open_container: OpenContainer,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._held = held
        self._order = order
        self._conninfo = conninfo
        self._blobs = open_container(held, "wal")
        self._key = key_of(order.data_public_key, order.data_key_id)
        self._clock = clock
        self._chance = chance
        self._names = RelationNames(conninfo, clock)
        self._lost = ""  # why log after what is kept cannot be had
        self._gap: WalMissing | None = None  # not told yet
        self._slot_bytes = order.slot_bytes
        self._given_up = threading.Event()  # what is on its way waits for nobody any more
        self._log = structlog.get_logger("strongroom.agent").bind(server=order.server)

    def work(self) -> NoReturn:
        attempt = 0
        while True:
            self._held.check()
            began = self._clock.monotonic()
            try:
                self._once()
            except (SourceError, StoreError) as error:
                self._held.check()
                if isinstance(error, Corrupt | StoreDenied):
                    raise  # under a new epoch, and so under new names
                if self._clock.monotonic() - began > _STOOD_SECONDS:
                    attempt = 0
                self._say_waiting(error)
            attempt += 1
            self._held.pause(pause_before(attempt, self._chance))

    def let_go(self) -> None:
        """The server keeps nothing for us. One that cannot be asked has a bound of its own."""
        try:
            drop_slot(self._conninfo, slot_name(self._order.instance_id))
        except SourceError as error:
            self._log.warning("the replication slot was left", why=error.message)

    def _say_waiting(self, error: VaultError) -> None:
        self._log.warning("the WAL stream waits", why=error.message, kind=error.code)
        try:
            self._tell(WalReport(epoch=self._held.lease.epoch, state="Waiting", why=error.message))
        except VaultError as unheard:
            if unheard.retry is Retry.NEVER:
                raise
            self._log.warning("the control plane was not told", why=unheard.message)

    def _once(self) -> None:
        """One connection, from where the vault has it until it breaks."""
        told = self._tell(WalReport(epoch=self._held.lease.epoch))
        kept = Kept(told.system_identifier, told.timeline, told.end)
        name = slot_name(self._order.instance_id)
        self._names.learn({""})  # before anything is dropped
        self._given_up.clear()
        with ThreadPoolExecutor(1, thread_name_prefix="wal") as pool:
            try:
                with replication(self._conninfo, self._held.check) as server:
                    source = WalSource(server, self._clock, name)
                    if told.of_point:  # segments are whole from their first byte
                        start = told.end - told.end % source.found.system.wal_segment_size
                        kept = replace(kept, end=start)
                    place = place_after(source.found, kept, self._lost)
                    source.begin(place, reserve=self._may_hold(source, place))
                    if place.why:
                        self._gap = _gap_of(kept, place)
                    _Connection(self, source, place, pool).run()
            except WalGap as error:
                self._lost = error.message
                self._give_up()
                raise
            except _HeldTooMuchError:
                self._give_up()
                raise

    def _may_hold(self, source: WalSource, place: Place) -> bool:
        """A server that already has more for us than it shall is read as long as it has it."""
        return source.found.at - place.start <= self._slot_bytes

    def _give_up(self) -> None:
        """The slot first: a store that is away may hold what is on its way for minutes."""
        self._given_up.set()
        self.let_go()

    # -- what the connection's threads use

    def _tell(self, report: WalReport) -> WalReply:
        held = self._held
        reply = held.client.wal(held.lease.operation_id, report, held.pause)
        self._slot_bytes = reply.slot_bytes or self._slot_bytes
        return reply

    def patiently(self, work: _Work) -> WalReply:
        """Until it is done: storage and the control plane may be away for a while."""
        attempt = 0
        while True:
            self._held.check()
            if self._given_up.is_set():
                raise SourceStopped("the server has let go of what follows")
            try:
                return work()
            except VaultError as error:
                if error.retry is Retry.NEVER:
                    raise
                self._log.warning("log waits to be kept", why=error.message, kind=error.code)
            self._held.pause(pause_before(attempt, self._chance))
            attempt += 1

    def keep(self, run: Run, source: WalSource, histories: list[WalHistory]) -> WalReply:
        """Seal a run, put it, report it -> how far the vault has it."""
        epoch = self._held.lease.epoch
        sealed = seal_log(run.raw, self._key, self._clock, self._chance)
        name = pack_name(run.timeline, run.start, epoch)
        pack = WalPack(
            name=name,
            size=len(sealed),
            blake3=blake3(sealed).digest(),
            timeline=run.timeline,
            start=run.start,
            end=run.end,
            summary=summary_of(run.events, self._names),
        )

        def work() -> WalReply:
            self._put(name, sealed)
            for each in histories:
                text = each.text.encode()
                stored = seal_log(text, self._key, self._clock, self._chance)
                self._put(history_name(each.timeline, epoch), stored)
            return self.report(source, [pack], histories)

        reply = self.patiently(work)
        self._gap, self._lost = None, ""
        progress = self._held.progress
        self._held.tell(
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
        source: WalSource,
        packs: list[WalPack] | None = None,
        histories: list[WalHistory] | None = None,
    ) -> WalReply:
        """How the stream stands, and what is in storage."""
        system = source.found.system
        return self._tell(
            WalReport(
                epoch=self._held.lease.epoch,
                system_identifier=str(system.identifier),
                segment_size=system.wal_segment_size,
                version_number=system.version_number,
                packs=packs or [],
                histories=histories or [],
                gap=self._gap,
                timeline=system.timeline,
                server_lsn=source.server_end,
                state="Streaming",
                slot=source.slot_kind,
            )
        )

    def _put(self, name: str, sealed: bytes) -> None:
        try:
            self._blobs.create(name, sealed)
        except ObjectExists:
            # The name holds our epoch, so it is ours: an answer that was lost. The control plane
            # compares what lies there with the digest that we report.
            return

    def check_bound(self, kept: Lsn, source: WalSource) -> None:
        """Raises _HeldTooMuchError when the server keeps more for us than it shall."""
        if source.slot_kind == NONE:
            return
        behind = max(source.server_end, position_of(self._conninfo, self._held.check)) - kept
        if behind > self._slot_bytes:
            raise _HeldTooMuchError(
                f"the server kept {behind:,} bytes of log for us, more than it shall: let go"
            )

    def check_slot(self, kept: Lsn, source: WalSource) -> None:
        """Raises SourceStopped where we have caught up without a slot: there is one again."""
        if source.left_out and source.server_end - kept < self._slot_bytes // 4:
            raise SourceStopped("the stream has caught up: it gets a slot again")

    @property
    def held(self) -> HeldLease:
        return self._held

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def seal_seconds(self) -> float:
        return self._order.seal_seconds


class _Connection:
    """One connection at work."""

    def __init__(
        self, stream: _Stream, source: WalSource, place: Place, pool: ThreadPoolExecutor
    ) -> None:
        self._stream = stream
        self._source = source
        self._pool = pool
        self._kept = place.start
        self._runs = Runs(place, source.found, stream.clock, stream.seal_seconds)
        told = source.found.histories
        self._histories = [WalHistory(timeline=tli, text=text) for tli, text in told.items()]
        self._waiting: deque[Future[WalReply]] = deque()
        self._looked = self._reported = stream.clock.monotonic()

    def run(self) -> None:
        """Until it breaks; what has come whole is kept then, if it can be."""
        stream = self._stream
        stream.held.tell(Progress(step="Streaming"))
        try:
            while True:
                stream.held.check()
                data = self._source.next(_TURN_SECONDS)
                if data is not None:
                    self._runs.add(data)
                while (run := self._runs.due()) is not None:
                    self._send(run)
                self._settle()
        except _HeldTooMuchError:
            raise
        except SourceError:
            while (run := self._runs.rest()) is not None:
                self._send(run)
            while self._waiting:
                self._await_oldest()
            raise

    def _send(self, run: Run) -> None:
        while len(self._waiting) >= _IN_FLIGHT:
            self._await_oldest()
        histories, self._histories = self._histories, []
        self._waiting.append(self._pool.submit(self._stream.keep, run, self._source, histories))

    def _await_oldest(self) -> None:
        while True:
            try:
                reply = self._waiting[0].result(timeout=_LOOK_SECONDS)
            except TooSoon:
                self._stream.check_bound(self._kept, self._source)
                continue
            self._waiting.popleft()
            self._note(reply)
            return

    def _settle(self) -> None:
        """Take what is done; tell the server, and the control plane now and then."""
        while self._waiting and self._waiting[0].done():
            self._note(self._waiting.popleft().result())
        now = self._stream.clock.monotonic()
        if self._waiting and now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._stream.check_bound(self._kept, self._source)
        if not self._waiting and now - self._reported > _REPORT_SECONDS:
            self._reported = now
            self._stream.patiently(lambda: self._stream.report(self._source))
        self._source.report(self._kept)

    def _note(self, reply: WalReply) -> None:
        self._reported = self._stream.clock.monotonic()
        self._kept = Lsn(reply.end)
        self._source.report_now(self._kept)
        self._stream.check_slot(self._kept, self._source)


def _gap_of(kept: Kept, place: Place) -> WalMissing:
    """What is missing between what is kept and where the stream begins anew."""
    end = place.start if place.timeline == kept.timeline and place.start > kept.end else 0
    return WalMissing(timeline=kept.timeline, start=kept.end, end=end, why=place.why)
