"""The log of a server that grants no replication: segments out of a spool, as they are archived.

`strongroom wal-put` (put.py) hands them over and waits: what has been put, read again and
recorded is marked in the spool, and only then does PostgreSQL hear of success.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.servers import ServerBook
from strongroom.agent.wal.host_files import FilesChangedError, HostFiles
from strongroom.agent.wal.keeper import REPORT_SECONDS, Keeper
from strongroom.agent.wal.run import Before, Runs
from strongroom.agent.wal.spool import HISTORY, SEGMENT, Spool, digest_of
from strongroom.agent.wal.stream import stream_wal
from strongroom.model.errors import Invalid, SourceError
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text, major_of
from strongroom.model.seams import Chance, Clock
from strongroom.model.wal import WalHistory, WalMissing, WalReply, WalReport
from strongroom.model.work.operation import Completion
from strongroom.postgres.backup.low_level import LowLevelBackup
from strongroom.postgres.log.archiver import trouble_of
from strongroom.postgres.log.wal_source import Found, Kept, Place, drop_slot, forks_of, slot_name
from strongroom.postgres.server.connect import Conninfo, session

ARCHIVE = "Archive"
_PAUSE = 0.1
_QUIET_SECONDS = 20.0  # a segment comes whole: how fast it was written is told by the one before
_page_header = struct.Struct("<HHIQI4xQII")  # of a segment's first page: xlog_internal.h


@dataclass(frozen=True, slots=True)
class LogTrade:
    """Keeps the log of servers for an agent."""

    book: ServerBook
    own: OwnSettingsFile
    open_container: OpenContainer
    clock: Clock
    chance: Chance

    def take_log(self, held: HeldLease) -> Completion:
        """By the stream, or out of the spool that the server's entry names, as it is by then.

        Until the lease ends: raises LeaseLost or Cancelled then, NotFound when the server is
        removed, and what cannot be mended.
        """
        order = held.lease.stream
        if order is None:
            raise Invalid("not an order to stream")
        while True:
            files = HostFiles(held.lease, order.server, self.book, self.own)
            given = files, self.open_container, self.clock, self.chance
            keeper = Keeper(held, order, *given)
            try:
                if files.spool is None:
                    stream_wal(keeper)
                _drop_slot(keeper)
                keeper.again(_Archived(keeper, files.spool).once)
            except FilesChangedError:
                keeper.log.info("what this host says of the server has changed: begun anew")


def _drop_slot(keeper: Keeper) -> None:
    """Of the stream that there was before: nobody reads from it any more."""
    try:
        drop_slot(keeper.conninfo, slot_name(keeper.order.instance_id))
    except SourceError as error:
        keeper.log.info("no replication slot was looked for", why=error.message)


@dataclass(slots=True)
class _Server:
    """Who archives, and how far it is."""

    found: Found
    server_end: Lsn
    slot_kind: str = ARCHIVE
    waits: bool = False
    why: str = ""


class _Archived:
    """Nothing is held for us: a server keeps what it has not archived, to `wal-put`'s bound."""

    def __init__(self, keeper: Keeper, root: Path) -> None:
        self._keeper = keeper
        self._root = root

    def once(self) -> NoReturn:
        """Until something breaks."""
        keeper = self._keeper
        told = keeper.tell(WalReport(epoch=keeper.held.lease.epoch))
        server = _look(keeper.conninfo)
        spool = Spool(self._root, str(server.found.system.identifier))
        keeper.names.learn({""})
        taking = _Taking(keeper, server, spool, told)
        looked, limit = float("-inf"), 0
        while True:
            keeper.check()
            if limit != keeper.slot_bytes and spool.set_limit(keeper.slot_bytes):
                limit = keeper.slot_bytes
            names = spool.waiting()
            for name in names:
                keeper.check()
                taking.take(name)
            if keeper.clock.monotonic() - looked > REPORT_SECONDS:
                looked = keeper.clock.monotonic()
                spool.clear(keeper.clock.now().timestamp())
                seen = _look(keeper.conninfo)
                server.server_end, server.waits, server.why = seen.server_end, seen.waits, seen.why
                keeper.patiently(lambda: keeper.report(server))
            if not names:
                keeper.pause(_PAUSE)


class _Taking:
    """What comes out of a spool, one by one."""

    def __init__(self, keeper: Keeper, server: _Server, spool: Spool, told: WalReply) -> None:
        self._keeper = keeper
        self._server = server
        self._spool = spool
        same = told.system_identifier == str(server.found.system.identifier)
        known = same and not told.of_point  # else nothing is kept yet that this could join
        place = told.system_identifier, told.timeline, told.end, told.history
        self._kept = Kept(*place) if known else Kept()
        self._before = Before(Lsn(told.end), told.unended) if known else Before()
        if told.timeline and not same and not told.of_point:
            why = "another server answers: its data began anew"
            keeper.gap = WalMissing(timeline=told.timeline, start=told.end, end=0, why=why)
        self._runs: Runs | None = None
        self._at = (0, 0)  # where the runs go on

    def take(self, name: str) -> None:
        """Keep it, or refuse it; raises what the keeper raises."""
        content = self._spool.read(name)
        try:
            self._take(name, content)
        except Invalid as error:
            self._spool.refuse(name, error.message)
            return
        self._spool.keep(name, digest_of(content))

    def _take(self, name: str, content: bytes) -> None:
        if found := HISTORY.fullmatch(name):
            timeline, text = int(found[1], 16), content.decode(errors="replace")
            if timeline == self._kept.timeline and forks_of(text) != forks_of(self._kept.history):
                raise Invalid(f"timeline {timeline} that is kept began elsewhere")
            self._server.found.histories[timeline] = text
            history = WalHistory(timeline=timeline, text=text)
            self._keeper.keep_history(self._server, history)
            return
        timeline, start, partial = self._place_of(name)
        self._check(content, start)
        if partial:
            left = self._left(timeline)
            if left is None or left <= start:
                return  # where that timeline was left nobody has said: it is of no use
            content = content[: left - start]
        kept, end = self._kept, start + len(content)
        if not self._is_needed(timeline, start, end):
            return
        if kept.timeline == timeline and start < kept.end < end:  # the rest of it was streamed
            start, content = kept.end, content[kept.end - start :]
        self._keep(timeline, start, content)

    def _place_of(self, name: str) -> tuple[int, int, bool]:
        found = SEGMENT.fullmatch(name)
        assert found is not None  # noqa: S101 - the spool gives no other
        size = self._server.found.system.wal_segment_size
        number = int(found[2], 16) * (0x100000000 // size) + int(found[3], 16)
        return int(found[1], 16), number * size, bool(found[4])

    def _check(self, content: bytes, start: int) -> None:
        """Raises Invalid unless it is a whole segment of this server's."""
        system = self._server.found.system
        if len(content) != system.wal_segment_size:
            raise Invalid(f"{len(content):,} bytes are no segment")
        header = _page_header.unpack_from(content)
        if (header[3], header[5]) != (start, system.identifier):
            raise Invalid("it is not the segment that its name says, or another server's")

    def _left(self, timeline: int) -> int | None:
        """Where it was left by the one that came after it."""
        for text in self._server.found.histories.values():
            left = dict(forks_of(text)).get(Timeline(timeline))
            if left is not None:
                return left
        return None

    def _is_needed(self, timeline: int, start: int, end: int) -> bool:
        """Whether the vault lacks it.

        What lies behind it came by the stream, before this server archived; what came by here is
        compared by `wal-put` already. Of a timeline that the server has left nothing more is
        taken: a restore in place leaves segments of it, and nothing leads there.
        """
        kept = self._kept
        if kept.timeline == timeline and end <= kept.end:
            return False
        if kept.timeline > timeline:
            where = {"timeline": timeline, "start": lsn_to_text(Lsn(start))}
            self._keeper.log.warning("log of a timeline that was left is not kept", **where)
            return False
        if kept.timeline == timeline and start > kept.end:
            self._note_gap(start)
        elif 0 < kept.timeline < timeline and kept.end < (left := self._left(kept.timeline) or 0):
            self._note_gap(left)
        return True

    def _note_gap(self, end: int) -> None:
        why = f"nothing was archived from {lsn_to_text(Lsn(self._kept.end))} on"
        kept = self._kept
        self._keeper.gap = WalMissing(timeline=kept.timeline, start=kept.end, end=end, why=why)

    def _keep(self, timeline: int, start: int, content: bytes) -> None:
        keeper, found = self._keeper, self._server.found
        if self._runs is None or self._at != (timeline, start):
            place = Place(Timeline(timeline), Lsn(start))
            before = Before() if keeper.gap is not None else self._before
            self._runs = Runs(
                place,
                found,
                keeper.clock,
                before,
                seal_seconds=keeper.order.seal_seconds,
                quiet_seconds=_QUIET_SECONDS,
            )
        self._runs.add(memoryview(content))
        for run in self._runs.everything():
            reply = keeper.keep(run, self._server, [])
            self._kept = Kept(reply.system_identifier, reply.timeline, reply.end, reply.history)
            self._before = Before(Lsn(reply.end), reply.unended)
        self._at = (timeline, start + len(content))


def _look(conninfo: Conninfo) -> _Server:
    """By an ordinary session. Raises SourceError."""
    with session(conninfo) as server:
        held = LowLevelBackup(server, major_of(server.version_number))
        at = held.position()
        stops, late = trouble_of(server)
        return _Server(Found(held.system(), at), at, waits=bool(stops), why=stops or late)
