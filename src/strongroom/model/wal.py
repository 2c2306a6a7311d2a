"""The write-ahead log as it is kept: ranges in packs, what happened in them, what is missing.

Positions are texts such as `16/B374D848`; times of commits are the server's own clock, in
microseconds since 1970. Docs: docs/format.md, `w/`.
"""

import re

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.postgres import Lsn, Timeline

IMMEDIATE = "immediate"  # a recovery to the end of a point's own log
SEAL_SECONDS = 10.0  # log lies unsealed no longer, while there is any
SLOT_BYTES = 16 << 30  # a server keeps so much for us at the most
MOST_REPORTED = 256  # packs in one report or answer
MOST_UNENDED = 1024  # tables of transactions that have not ended, all together
_NAME = re.compile(r"w/([0-9A-F]{8})/([0-9A-F]{16})\.(\d{1,10})\.pack")
_HISTORY = re.compile(r"w/([0-9A-F]{8})/history\.(\d{1,10})\.pack")


class Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Travels; unknown fields are ignored."""


class Second(Message):
    """What was committed within one second: transactions, rows deleted, tables gone.

    deleted: table -> rows, those with the most; where its name is not known it is "database/file".
    gone: tables that were dropped, truncated or written anew. lost_at: when the transaction
    committed that took the most away, in microseconds since 1970; 0 where nothing went.
    deleted_at, gone_at: the same of each table; empty in what was summed up before there were any.
    """

    at: int  # seconds since 1970
    commits: int = 0
    deleted: dict[str, int] = {}
    gone: list[str] = []
    lost_at: int = 0
    deleted_at: dict[str, int] = {}
    gone_at: dict[str, int] = {}


class RestorePoint(Message):
    """What `pg_create_restore_point` wrote."""

    name: str
    lsn: int  # the end of its record: replayed up to here, it is reached
    at: int


class Summary(Message):
    """What a range of log holds, told from its records. `last_lsn`: where the record begins.

    minimal_lsn: from there on wal_level was minimal, and nothing recovers through it; 0: never.
    ended: numbers of the transactions that committed or were rolled back in it, as runs (first,
    last); empty where there are too many to tell. parts: runs of subtransactions, and of what.
    """

    commits: int = 0
    first_at: int = 0
    last_at: int = 0  # the latest time of a commit
    last_lsn: int = 0  # of the last commit
    least_xid: int = 0
    most_xid: int = 0
    restore_points: list[RestorePoint] = []
    minimal_lsn: int = 0
    seconds: list[Second] = []
    ended: list[tuple[int, int]] = []
    parts: list[tuple[int, int, int]] = []


class WalTail(Message):
    """The last of what is kept: from `start` to `end`, and its SHA-256. Empty: not known.

    Whether a server is the one whose log is kept is told by its having these bytes there.
    """

    system_identifier: str = ""
    timeline: int = 0
    start: int = 0
    end: int = 0
    digest: bytes = b""


class WalPack(Message):
    """One range of one timeline, sealed. `start` and `end` are whole records' ends.

    tail_start, tail: as in WalTail, of the last of it. unended: transaction -> "database/file" ->
    rows that it deleted, of those that have not ended by then, a prepared one's too.
    """

    name: str  # w/<timeline>/<start>.<epoch>.pack
    size: int
    blake3: bytes
    timeline: int
    start: int
    end: int
    tail_start: int = 0
    tail: bytes = b""
    unended: dict[int, dict[str, int]] = {}
    summary: Summary = msgspec.field(default_factory=Summary)


class WalHistory(Message):
    """A timeline's history file, as PostgreSQL writes it, and the pack that holds it."""

    timeline: int
    text: str


class WalMissing(Message):
    """Log that is not kept: nothing is restored across it. `end` 0: as far as nobody knows."""

    timeline: int
    start: int
    end: int
    why: str


class WalReport(Message):
    """What an agent has put into storage since it last said so, and how the stream stands.

    system_identifier: of the server that it stands to now. server_lsn: how far that server is.
    gap: what was lost before the packs of this report.
    """

    epoch: int
    system_identifier: str = ""
    segment_size: int = 0
    version_number: int = 0
    packs: list[WalPack] = []
    histories: list[WalHistory] = []
    gap: WalMissing | None = None
    timeline: int = 0
    server_lsn: int = 0
    state: str = ""  # Streaming | Waiting
    why: str = ""  # why it waits
    slot: str = ""  # Persistent | Temporary | None


class WalReply(Message):
    """How far the vault has it: from here the agent goes on. Zero: from nowhere yet.

    history: of that timeline, as it was kept. of_point: nothing is streamed yet, and this is where
    the newest point ends. slot_bytes: what the server may keep for us from now on, at the most; 0:
    as the order says. tail: what a server that goes on from there must have. unended: as it was
    reported of the last pack.
    """

    system_identifier: str = ""
    timeline: int = 0
    end: int = 0
    history: str = ""
    of_point: bool = False
    slot_bytes: int = 0
    tail: WalTail = msgspec.field(default_factory=WalTail)
    unended: dict[int, dict[str, int]] = {}


class StreamOrder(Message):
    """Stream the log of a server for as long as the lease lasts."""

    server: str
    instance_id: str
    data_key_id: bytes
    data_public_key: bytes
    seal_seconds: float = SEAL_SECONDS
    slot_bytes: int = SLOT_BYTES


class Recovery(Message):
    """Recover to there, with log out of the vault. Positions are what an operation is held to.

    kind: time | lsn | xid | name | end, or immediate: no further than the point itself, and on a
    timeline of its own. value: as PostgreSQL's setting takes it. timelines: how much of each is
    needed, the oldest first: (timeline, from, to), each from the start of a segment. follow: keep
    on replaying, never end, and go on with what is promoted. inclusive: what is named is there.
    begins: the timeline that it ends in, which no other server has had; 0: the next that is free.
    """

    kind: str
    value: str
    system: str  # its identifier
    timeline: int
    segment_size: int
    timelines: list[tuple[int, int, int]]
    histories: dict[str, str] = {}  # timeline, in decimal -> text
    follow: bool = False
    inclusive: bool = True
    begins: int = 0


class WalRequest(Message):
    """The packs that hold what follows a position, and their keys."""

    epoch: int
    session_public_key: bytes
    timeline: int
    start: int
    most: int = MOST_REPORTED


class WalKept(Message):
    """`sealed`: HPKE to the session key of msgpack {pack name: content key}.

    Packs in the order of their positions; none: nothing more is kept there. histories: where what
    is asked for has no end, those of timelines that went on from this one and have log.
    """

    packs: list[WalPack]
    sealed: bytes
    histories: list[WalHistory] = []


def pack_name(timeline: int, start: int, epoch: int) -> str:
    """Where a range of log lies in its container."""
    return f"w/{timeline:08X}/{start:016X}.{epoch}.pack"


def history_name(timeline: int, epoch: int) -> str:
    """Where the history file of a timeline lies."""
    return f"w/{timeline:08X}/history.{epoch}.pack"


def read_name(name: str) -> tuple[Timeline, Lsn, int] | None:
    """(timeline, start, epoch) of a range's name; None for a name of another kind."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return Timeline(int(found[1], 16)), Lsn(int(found[2], 16)), int(found[3])


def read_history_name(name: str) -> tuple[Timeline, int] | None:
    """(timeline, epoch) of a history's name; None for a name of another kind."""
    found = _HISTORY.fullmatch(name)
    return found and (Timeline(int(found[1], 16)), int(found[2]))


def check_pack(pack: WalPack, epoch: int) -> None:
    """Raises Invalid unless its name is that of its range and epoch, and the range is one."""
    wanted = pack_name(pack.timeline, pack.start, epoch)
    if pack.name != wanted or not 0 < pack.start < pack.end < 1 << 63:
        raise Invalid(f"{pack.name[:80]!r} is not the name of what it is said to hold")
    if sum(max(len(rows), 1) for rows in pack.unended.values()) > MOST_UNENDED:
        raise Invalid(f"{len(pack.unended)} open transactions in a pack", hint="update the agent")
