"""Stream the log of a server into the vault, for as long as the lease lasts.

One thread takes what the server sends, another seals it, puts it and reports it; what the control
plane says is kept goes back to the server. The vault's word alone counts: after whatever broke,
the stream goes on from there, or what is missing is told with its bounds.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSoon
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from strongroom.agent.wal.keeper import REPORT_SECONDS, Keeper
from strongroom.agent.wal.run import Before, Run, Runs
from strongroom.model.errors import (
    Cancelled,
    NotFound,
    SourceError,
    SourceStopped,
    WalGap,
)
from strongroom.model.postgres import Lsn
from strongroom.model.wal import (
    WalHistory,
    WalMissing,
    WalReply,
    WalReport,
)
from strongroom.model.work.operation import Progress
from strongroom.postgres.log.wal_joins import joined_server
from strongroom.postgres.log.wal_source import (
    NONE,
    Kept,
    Place,
    WalSource,
    checkpoint_of,
    drop_slot,
    place_after,
    position_of,
    slot_name,
    why_behind,
)
from strongroom.postgres.server.connect import replication, same_server
from strongroom.postgres.server.replication import Replication

_IN_FLIGHT = 2  # runs that are sealed and not kept yet
_TURN_SECONDS = 0.25
_QUIET_SECONDS = 3.0  # a burst is not pressed so hard that it waits
_LOOK_SECONDS = 10.0  # between looks at how much the server keeps for us
_BLIND_SECONDS = 2.0  # the same while nothing is read: its walsender cannot go then
_STOOD_SECONDS = 60.0  # a connection that stood so long was a good one
_Work = Callable[[], WalReply]


def stream_wal(keeper: Keeper) -> NoReturn:
    """Until the lease ends: raises as `Keeper.again` does."""
    stream = LogStream(keeper)
    try:
        keeper.again(stream.once)
    except (Cancelled, NotFound):
        if keeper.files.is_removed or keeper.held.is_cancelled:
            stream.let_go()
        raise


class _HeldTooMuchError(Exception):
    """The bound of what the server keeps for us; told as SourceStopped once the slot is gone."""


class LogStream:
    """What lives as long as the lease does: connections come and go."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def let_go(self) -> None:
        """The server keeps nothing for us. One that cannot be asked has a bound of its own."""
        try:
            drop_slot(self.keeper.conninfo, slot_name(self.keeper.order.instance_id))
        except SourceError as error:
            self.keeper.log.warning("the replication slot was left", why=error.message)

    def once(self) -> None:
        """One connection, from where the vault has it until it breaks."""
        told = self.keeper.tell(WalReport(epoch=self.keeper.held.lease.epoch))
        kept = Kept(told.system_identifier, told.timeline, told.end, told.history)
        name = slot_name(self.keeper.order.instance_id)
        self.keeper.names.learn({""})  # before anything is dropped
        self.keeper.given_up.clear()
        clock, watch = self.keeper.clock, self.keeper.check
        conninfo = joined_server(self.keeper.conninfo, told.tail, clock, watch)
        with ThreadPoolExecutor(1, thread_name_prefix="wal") as pool:
            try:
                with replication(conninfo, watch) as server:
                    source = WalSource(server, self.keeper.clock, name)
                    if told.of_point:  # segments are whole from their first byte
                        start = told.end - told.end % source.found.system.wal_segment_size
                        kept = replace(kept, end=start)
                    since = None if kept.timeline else self._since(server, source)
                    place = place_after(source.found, kept, self.keeper.lost, since)
                    source.begin(place, reserve=self._may_hold(source, place))
                    before = Before(Lsn(told.end), told.unended)
                    if place.why or told.of_point:
                        before = Before()
                    if place.why:
                        self.keeper.gap = _gap_of(kept, place)
                    _Connection(self, source, (place, before), pool).run()
            except WalGap as error:
                self.keeper.lost = error.message
                self._give_up()
                raise
            except _HeldTooMuchError as error:
                self._give_up()
                raise SourceStopped(str(error)) from error

    def _since(self, server: Replication, source: WalSource) -> Lsn | None:
        """From where the first log is taken, so that a backup that runs now can lead to it.

        It ends behind the checkpoint that it began with, but may end before we are here. None
        where that is more than a server may keep for us, or may not be asked.
        """
        with suppress(SourceError):
            conninfo = same_server(self.keeper.conninfo, server)
            timeline, redo = checkpoint_of(conninfo, self.keeper.check)
            is_near = source.found.at - redo <= self._bound(source)
            return redo if is_near and timeline == source.found.system.timeline else None
        return None

    def _may_hold(self, source: WalSource, place: Place) -> bool:
        """A server that already has more for us than it shall is read as long as it has it."""
        return source.found.at - place.start <= self._bound(source)

    def _bound(self, source: WalSource) -> int:
        """What a server may keep for us, at the most.

        Less than it allows a slot itself: to take one away it waits until its walsender has gone,
        which may wait for us, who wait for the vault. Its checkpoints would stand as long.
        Source: PostgreSQL slot.c, InvalidatePossiblyObsoleteSlot.
        """
        most = self.keeper.slot_bytes
        return most if source.room is None else min(most, source.room * 3 // 4)

    def _give_up(self) -> None:
        """The slot first: a store that is away may hold what is on its way for minutes."""
        self.keeper.given_up.set()
        self.let_go()

    def check_bound(self, kept: Lsn, source: WalSource) -> None:
        """Raises _HeldTooMuchError when the server keeps more for us than it shall."""
        if source.slot_kind == NONE:
            return
        now = position_of(self.keeper.conninfo, self.keeper.check)
        behind = max(source.server_end, now) - kept
        if behind > self._bound(source):
            raise _HeldTooMuchError(
                f"the server kept {behind:,} bytes of log for us, more than it shall: let go"
            )

    def check_slot(self, kept: Lsn, source: WalSource) -> None:
        """Raises SourceStopped where we have caught up without a slot: there is one again."""
        if source.left_out and source.server_end - kept < self._bound(source) // 2:
            raise SourceStopped("the stream has caught up: it gets a slot again")


class _Connection:
    """One connection at work."""

    def __init__(
        self,
        stream: LogStream,
        source: WalSource,
        start: tuple[Place, Before],
        pool: ThreadPoolExecutor,
    ) -> None:
        place, before = start
        self._stream = stream
        self._source = source
        self._pool = pool
        self._kept = place.start
        keeper = self._keeper = stream.keeper
        self._runs = Runs(
            place,
            source.found,
            keeper.clock,
            before,
            seal_seconds=keeper.order.seal_seconds,
            quiet_seconds=_QUIET_SECONDS,
        )
        told = source.found.histories
        self._histories = [WalHistory(timeline=tli, text=text) for tli, text in told.items()]
        self._waiting: deque[Future[WalReply]] = deque()
        self._looked = self._reported = keeper.clock.monotonic()

    def run(self) -> None:
        """Until it breaks; what has come whole is kept then, if it can be."""
        keeper = self._keeper
        keeper.held.tell(Progress(step="Streaming"))
        try:
            while True:
                keeper.check()
                data = self._source.next(_TURN_SECONDS)
                if data is not None:
                    self._runs.add(data, self._source.server_end)
                while (run := self._runs.due()) is not None:
                    self._send(run)
                self._settle()
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
        self._waiting.append(self._pool.submit(self._keeper.keep, run, self._source, histories))

    def _await_oldest(self) -> None:
        while True:
            try:
                reply = self._waiting[0].result(timeout=_BLIND_SECONDS)
            except TooSoon:
                self._stream.check_bound(self._kept, self._source)
                continue
            self._waiting.popleft()
            self._note(reply)
            return

    def _settle(self) -> None:
        """Take what is done; tell the server, and the control plane now and then."""
        if self._source.was_asked() and (run := self._runs.rest()) is not None:
            self._send(run)  # a server that shuts down waits for it
        while self._waiting and self._waiting[0].done():
            self._note(self._waiting.popleft().result())
        now = self._keeper.clock.monotonic()
        if self._waiting and now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._stream.check_bound(self._kept, self._source)
        if not self._waiting and now - self._reported > REPORT_SECONDS:
            self._reported = now
            self._waiting.append(self._pool.submit(self._keeper.patiently, self._say))
        self._source.report(self._kept)

    def _say(self) -> WalReply:
        """That it stands. Not by the thread that reads: the control plane may be away for long."""
        if self._source.is_standby:
            with suppress(SourceError):  # a role that only replicates may not ask
                self._source.why = why_behind(self._keeper.conninfo, self._keeper.check)
        return self._keeper.report(self._source)

    def _note(self, reply: WalReply) -> None:
        self._reported = self._keeper.clock.monotonic()
        self._kept = Lsn(reply.end)
        self._source.report_now(self._kept)
        self._stream.check_slot(self._kept, self._source)


def _gap_of(kept: Kept, place: Place) -> WalMissing:
    """What is missing between what is kept and where the stream begins anew."""
    end = place.start if place.timeline == kept.timeline and place.start > kept.end else 0
    return WalMissing(timeline=kept.timeline, start=kept.end, end=end, why=place.why)
