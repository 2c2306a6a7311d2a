"""Whether a server's log is the one that is kept.

Two servers may have one system identifier and one timeline: a copy of the data directory that was
started, or a snapshot that was put back. Positions say nothing then; the bytes before one do.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress

from strongroom.model.errors import SourceRefused, WalGap
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.model.seams import Clock
from strongroom.model.wal import WalTail
from strongroom.postgres.log.wal_source import Place, WalSource, forks_of
from strongroom.postgres.server.connect import Conninfo, replication, same_server

TAIL_BYTES = 64 << 10
_TURN_SECONDS = 1.0
HINT = (
    "If it is a copy, have the connection string lead to the server itself. If it is the server "
    "itself and was set back, make it begin a timeline of its own: put standby.signal into its "
    "data directory, start it, and promote it (pg_ctl promote)."
)


def tail_of(start: int, raw: bytes, segment_size: int) -> tuple[int, bytes]:
    """(where it begins, its digest): the last of a range, within one segment."""
    end = start + len(raw)
    begin = max(start, end - TAIL_BYTES, (end - 1) // segment_size * segment_size)
    return begin, hashlib.sha256(raw[begin - start :]).digest()


def joined_server(
    conninfo: Conninfo, tail: WalTail, clock: Clock, watch: Callable[[], None]
) -> Conninfo:
    """The string, tied to the server whose log was looked at, so that none takes its place.

    What it has not any more, or not yet, says nothing. Raises SourceRefused when its log before
    there is another one than the one that is kept, SourceError.
    """
    if not tail.digest:
        return conninfo
    with replication(conninfo, watch) as server:
        source = WalSource(server, clock, "")
        tied = same_server(conninfo, server)
        if not _has(source, tail):
            return tied
        source.begin_quietly(Place(Timeline(tail.timeline), Lsn(tail.start)))
        with suppress(WalGap):
            if _digest(source, tail) != tail.digest:
                raise SourceRefused(
                    "this server has another log than the one that is kept, up to "
                    f"{lsn_to_text(Lsn(tail.end))} of timeline {tail.timeline}: it is a copy of "
                    "the server that is protected, or was set back",
                    hint=HINT,
                )
    return tied


def _has(source: WalSource, tail: WalTail) -> bool:
    """Whether the stretch lies on the server's history."""
    found = source.found
    if tail.system_identifier != str(found.system.identifier):
        return False
    if tail.timeline == found.system.timeline:
        return tail.end <= found.at
    left = dict(forks_of(found.histories.get(found.system.timeline, ""))).get(
        Timeline(tail.timeline)
    )
    return left is not None and tail.end <= left


def _digest(source: WalSource, tail: WalTail) -> bytes:
    found, left = hashlib.sha256(), tail.end - tail.start
    while left:
        data = source.next(_TURN_SECONDS)
        if data is not None:
            found.update(data[:left])
            left -= min(left, len(data))
    return found.digest()
