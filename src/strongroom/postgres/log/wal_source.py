"""The log of a server as it is written: from where the vault has it, on whatever host is asked.

A physical slot keeps what we have not taken. It outlives us only where the server bounds what a
slot may keep (max_slot_wal_keep_size); elsewhere it is a temporary one, which goes with the
connection: no server fills up because of us, whatever becomes of this process.
Source: PostgreSQL manual, "Streaming Replication Protocol", "Replication Slots".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from strongroom.model.errors import SourceError, SourceRefused, SourceStopped, WalGap
from strongroom.model.postgres import Lsn, Timeline, lsn_from_text, lsn_to_text
from strongroom.model.seams import Clock
from strongroom.postgres.server.asked import show, show_bytes
from strongroom.postgres.server.connect import Conninfo, replication, session
from strongroom.postgres.server.replication import Replication
from strongroom.postgres.server.silence import STALL_SECONDS
from strongroom.postgres.server.system import System, identify
from strongroom.postgres.wire.messages import WalData, parse_wal_message, status_update

PERSISTENT, TEMPORARY, NONE = "Persistent", "Temporary", "None"
STATUS_SECONDS = 5.0
_EPOCH_2000 = 946684800  # seconds from 1970 to 2000
_EXISTS, _IN_USE = "42710", "55006"
_NO_SLOT = {"53400", "55000"}  # all in use; none allowed
_LOST_SLOT = {"55000", "58P01"}  # while streaming: invalidated; a segment is gone
_STREAMING = "streaming write-ahead log"
NOT_AS_FAR = (
    "A standby catches up by itself. A server that was set back must begin a timeline of its own: "
    "put standby.signal into its data directory, start it, and promote it (pg_ctl promote)."
)
_CUT_OFF = """
select pg_is_in_recovery() and not exists (select from pg_stat_wal_receiver where pid is not null)
"""
_CHECKPOINT = "select timeline_id, redo_lsn from pg_control_checkpoint()"
_FORK = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)", re.M)


@dataclass(frozen=True, slots=True)
class Kept:
    """How far the vault has the log; a timeline of 0: not at all. `history`: of that timeline."""

    system_identifier: str = ""
    timeline: int = 0
    end: int = 0
    history: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stream goes on. `why`: log was lost before it; else it joins what is kept."""

    timeline: Timeline
    start: Lsn
    why: str = ""


@dataclass(slots=True)
class Found:
    """What a server said of itself."""

    system: System
    at: Lsn
    histories: dict[int, str] = field(default_factory=dict)


def forks_of(history: str) -> list[tuple[Timeline, Lsn]]:
    """A history file: (ancestor, where it was left), the oldest first."""
    return [(Timeline(int(tli)), lsn_from_text(lsn)) for tli, lsn in _FORK.findall(history)]


def place_after(found: Found, kept: Kept, lost: str = "", since: Lsn | None = None) -> Place:
    """Where to go on, so that nothing that the server still has is missed.

    `lost`: why what follows `kept` cannot be had. `since`: from where the server surely has its
    log, taken where nothing is kept. Raises SourceRefused where another server of
    this system has become the same timeline, or where it has not come as far: two logs under one
    name lead nowhere.
    """
    system, size = found.system, found.system.wal_segment_size
    _check_far(found, kept)
    _check_branch(found, kept)
    why = _why_anew(found, kept, lost)
    if why or kept.timeline == 0:
        start = found.at if why or since is None else min(found.at, since)
        return Place(system.timeline, Lsn(start - start % size), why)
    forks = forks_of(found.histories.get(system.timeline, ""))
    left = dict(forks).get(Timeline(kept.timeline))
    if left is None or kept.end < left:
        return Place(Timeline(kept.timeline), Lsn(kept.end))
    line = [*(each for each, _ in forks), system.timeline]
    after = line[line.index(Timeline(kept.timeline)) + 1]
    return Place(after, Lsn(left - left % size))


def _check_far(found: Found, kept: Kept) -> None:
    """What it writes from there on is other log in the places of what is kept."""
    same = kept.system_identifier == str(found.system.identifier)
    if same and kept.timeline == found.system.timeline and kept.end > found.at:
        raise SourceRefused(
            f"the server is at {lsn_to_text(found.at)}, and its log is kept up to "
            f"{lsn_to_text(Lsn(kept.end))}",
            hint=NOT_AS_FAR,
        )


def _check_branch(found: Found, kept: Kept) -> None:
    """Two standbys that are promoted apart both take the next number."""
    if kept.system_identifier != str(found.system.identifier) or not kept.history:
        return
    now = found.system.timeline
    line = [*forks_of(found.histories.get(now, "")), (now, Lsn(0))]
    numbers = [timeline for timeline, _ in line]
    if kept.timeline not in numbers:
        return
    came_by = line[: numbers.index(Timeline(kept.timeline))]
    if came_by != forks_of(kept.history):
        raise SourceRefused(
            f"this server's timeline {kept.timeline} began elsewhere than the one that is kept",
            hint="Another server was promoted too: stream from that, or protect this one anew.",
        )


def _why_anew(found: Found, kept: Kept, lost: str) -> str:
    """Why the stream cannot go on behind what is kept; empty when it can."""
    now = found.system.timeline
    if kept.timeline == 0:
        return ""
    if kept.system_identifier != str(found.system.identifier):
        return "another server answers: its data began anew"
    if lost:
        return lost
    ancestors = {each for each, _ in forks_of(found.histories.get(now, ""))}
    if kept.timeline not in {*ancestors, now}:
        return f"timeline {kept.timeline} is no ancestor of the server's {now}"
    return ""


class WalSource:
    """One connection to one server. One thread. Made by `opened`."""

    def __init__(self, server: Replication, clock: Clock, name: str) -> None:
        self._server = server
        self._clock = clock
        self._name = name
        self._slot = ""
        self.slot_kind = NONE
        self.left_out = False  # a slot, though there may be one
        self.waits, self.why = False, ""  # of one that streams
        self.is_standby = show(server, "in_hot_standby") == "on"
        self._may_report = True
        self._asked = False
        self._heard = self._told = clock.monotonic()
        self.position = Lsn(0)  # what has come
        self.server_end = Lsn(0)
        self.found = self._identify()
        room = show_bytes(server, "max_slot_wal_keep_size")
        self.room = None if room < 0 else room  # of a slot; None: no bound

    def _identify(self) -> Found:
        system = identify(self._server)
        row = self._server.rows("IDENTIFY_SYSTEM", "identifying itself")[0]
        found = Found(system, lsn_from_text(row[2].decode()))
        if system.timeline > 1:
            told = self._server.history(system.timeline).decode(errors="replace")
            found.histories[system.timeline] = told
        self.server_end = found.at
        return found

    def begin(self, place: Place, *, reserve: bool = True) -> None:
        """Reserve, and begin to stream. Raises WalGap when the server has it no more."""
        self.left_out = not reserve
        if reserve:
            self._reserve()
        self.position = place.start
        slot = f'SLOT "{self._slot}" ' if self._slot else ""
        where = f"{lsn_to_text(place.start)} TIMELINE {place.timeline}"
        self._server.begin(f"START_REPLICATION {slot}PHYSICAL {where}")
        try:
            self._server.begin_copy(_STREAMING, both=True)
        except SourceError as error:
            raise self._lost(error) from error

    def begin_quietly(self, place: Place) -> None:
        """As `begin`, with no slot, and nothing is reported: to look, and leave."""
        self._may_report = False
        self.begin(place, reserve=False)

    def next(self, seconds: float) -> memoryview | None:
        """The next stretch of log, or None when none came within `seconds`.

        Raises WalGap when the server has let go of it, SourceStopped when it ends: a shutdown,
        a promotion, the end of a timeline.
        """
        try:
            raw = self._server.next_copied(_STREAMING, seconds)
        except SourceError as error:
            raise self._lost(error) from error
        now = self._clock.monotonic()
        if raw is None:
            if now - self._heard > STALL_SECONDS:
                raise SourceStopped(f"the WAL stream was silent for {STALL_SECONDS:.0f} seconds")
            return None
        self._heard = now
        message = parse_wal_message(raw)
        self.server_end = Lsn(max(self.server_end, message.server_end))
        if not isinstance(message, WalData):
            if message.reply_now:
                self._told, self._asked = float("-inf"), True
            return None
        if message.start != self.position:
            at, there = lsn_to_text(self.position), lsn_to_text(message.start)
            raise WalGap(f"write-ahead log jumps from {at} to {there}")
        self.position = Lsn(self.position + len(message.data))
        return message.data

    def was_asked(self) -> bool:
        """Whether the server has asked, since the last look, how far we are.

        One that shuts down does, again and again, and ends when all that it has sent is kept.
        Source: PostgreSQL walsender.c, WalSndDone.
        """
        asked, self._asked = self._asked, False
        return asked

    def report(self, kept: Lsn) -> None:
        """Tell the server what the vault has: it may let go of that, and of no more."""
        now = self._clock.monotonic()
        if now - self._told < STATUS_SECONDS:
            return
        self._told = now
        microseconds = int((self._clock.now().timestamp() - _EPOCH_2000) * 1_000_000)
        flushed = kept if self._may_report else Lsn(0)
        update = status_update(kept, flushed, microseconds, reply_now=True)
        self._server.send_copied(update, _STREAMING)

    def report_now(self, kept: Lsn) -> None:
        """At once."""
        self._told = float("-inf")
        self.report(kept)

    def _lost(self, error: SourceError) -> SourceError:
        if error.facts.get("sqlstate") in _LOST_SLOT:
            return WalGap(error.message, hint="Raise max_slot_wal_keep_size.", facts=error.facts)
        return error

    def _reserve(self) -> None:
        if _would_be_synchronous(self._server):
            # A position that we report could release a commit that waits for a real standby.
            self._may_report = False
            return
        bounded = self.room is not None
        name = self._name if bounded else f"{self._name}_{self._server.backend_pid}"[-63:]
        kind = "" if bounded else "TEMPORARY "
        command = f'CREATE_REPLICATION_SLOT "{name}" {kind}PHYSICAL RESERVE_WAL'
        try:
            self._server.rows(command, "making a replication slot")
        except SourceError as error:
            state = error.facts.get("sqlstate")
            if state in _NO_SLOT:
                return
            if state != _EXISTS:
                raise
        self._slot, self.slot_kind = name, PERSISTENT if bounded else TEMPORARY


def drop_slot(conninfo: Conninfo, name: str) -> bool:
    """Let the server keep nothing for us any more; whether there was a slot to drop."""
    with replication(conninfo) as server:
        try:
            server.begin(f'DROP_REPLICATION_SLOT "{name}"')
            server.settle("dropping our replication slot")  # it answers with no rows
        except SourceError as error:
            if error.facts.get("sqlstate") == "42704":  # undefined_object
                return False
            raise
    return True


def position_of(conninfo: Conninfo, watch: Callable[[], None]) -> Lsn:
    """How far a server has written, on a connection of its own."""
    with replication(conninfo, watch) as server:
        row = server.rows("IDENTIFY_SYSTEM", "identifying itself")[0]
    return lsn_from_text(row[2].decode())


def checkpoint_of(conninfo: Conninfo, watch: Callable[[], None]) -> tuple[Timeline, Lsn]:
    """From where a server surely has its log: what its last checkpoint leans on.

    Raises SourceError. Source: PostgreSQL manual, pg_control_checkpoint, redo_lsn.
    """
    with session(conninfo, watch) as server:
        ((timeline, redo),) = server.rows(_CHECKPOINT, "asking for its last checkpoint")
    return Timeline(int(timeline)), lsn_from_text(redo.decode())


def why_behind(conninfo: Conninfo, watch: Callable[[], None]) -> str:
    """Why a standby may have nothing new to stream; empty where its primary streams to it.

    Its own end is all that a stream can be level with. Raises SourceError.
    """
    with session(conninfo, watch) as server:
        ((cut_off,),) = server.rows(_CUT_OFF, "asking where its log comes from")
    return "it is a standby to which no primary streams" if cut_off == b"t" else ""


def slot_name(instance_id: str) -> str:
    """Of the slot that an instance's stream has to itself."""
    return f"strongroom_{instance_id}".lower()[:63]


def _would_be_synchronous(server: Replication) -> bool:
    names = show(server, "synchronous_standby_names")
    return "*" in names or "strongroom" in names.lower()
