"""Runs of log: what is sealed together, cut where records end."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from strongroom.model.postgres import Lsn, Timeline
from strongroom.model.seams import Clock
from strongroom.postgres.log.wal_source import Found, Place, forks_of
from strongroom.postgres.wire.wal import NOWHERE, Deletes, Event, WalReader, begins_at

RUN_BYTES = 16 << 20
MOST_BYTES = 32 << 20  # of a pack: a record longer than that is cut
_SOON_BYTES, _SOON_SECONDS = 8 << 20, 1.0  # a busy server's log does not wait as long


@dataclass(frozen=True, slots=True)
class Before:
    """What was read before, up to `end` of the same timeline or of those that it came by.

    unended: rows that were deleted by transactions of which the end has not come.
    """

    end: Lsn = NOWHERE
    unended: Deletes = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """Log from `start` to `end` of one timeline; `pace`: bytes a second at which it is to be kept.

    records: about how many. unended: at its end, as in Before.
    """

    timeline: Timeline
    start: Lsn
    end: Lsn
    raw: bytes
    events: list[Event]
    pace: float
    records: int
    unended: Deletes = field(default_factory=dict)


class Runs:
    """Add what comes; take what is due to be sealed."""

    def __init__(
        self,
        place: Place,
        found: Found,
        clock: Clock,
        before: Before,
        *,
        seal_seconds: float,
        quiet_seconds: float,
    ) -> None:
        """`quiet_seconds`: of quiet before a run, at most, count to the time that it took."""
        self._timeline = place.timeline
        self._start = place.start
        self._clock = clock
        self._seal_seconds = seal_seconds
        self._raw = bytearray()
        self._since = 0.0  # when the oldest byte came
        self._cut = clock.monotonic()  # when the run before was taken
        self._quiet_seconds = quiet_seconds
        self._lately = (0.0, 0.0)  # bytes and seconds of runs before, as they count
        self._server_end = NOWHERE
        size, version = found.system.wal_segment_size, found.system.version_number
        # The first segment of a timeline repeats what the one before has told of.
        forks = forks_of(found.histories.get(place.timeline, ""))
        self._told_before = told = max(forks[-1][1] if forks else Lsn(0), before.end)
        unended = before.unended
        self._reader = WalReader(place.start, size, version, unended=unended, counted=told)

    def add(self, data: memoryview, server_end: Lsn = NOWHERE) -> None:
        """The next bytes; `server_end`: how far the server was, where it says so."""
        self._server_end = server_end
        if not self._raw:
            self._since = self._clock.monotonic()
        self._raw += data
        self._reader.feed(data)

    def due(self) -> Run | None:
        """What is sealed now: much of it, or what has lain long enough."""
        size = len(self._raw)
        if not size:
            return None
        age = self._clock.monotonic() - self._since
        soon = size >= _SOON_BYTES and age >= _SOON_SECONDS
        if size < RUN_BYTES and age < self._seal_seconds and not soon:
            return None
        return self.rest()

    def rest(self) -> Run | None:
        """Whole records, all that there are up to a pack's size; None when there are none."""
        whole = self._reader.position - self._start
        if whole <= 0 and len(self._raw) < MOST_BYTES:
            return None
        length = min(whole if whole > 0 else len(self._raw), MOST_BYTES)
        end = Lsn(self._start + length)
        events = [each for each in self._reader.take() if begins_at(each) >= self._told_before]
        with memoryview(self._raw) as view:
            raw = bytes(view[:length])
        unended = self._reader.unended()
        records = self._reader.take_count()
        pace = self._pace(length)
        run = Run(self._timeline, self._start, end, raw, events, pace, records, unended)
        del self._raw[:length]
        self._start, self._since = end, self._cut
        return run

    def _pace(self, length: int) -> float:
        """Bytes a second, of a run that is taken now.

        Of a busy server the run before counts half, the one before that a quarter. Who is behind
        by another run or more has to keep that as well in the same time.
        """
        now = self._clock.monotonic()
        took = min(now - self._cut, now - self._since + self._quiet_seconds)
        self._cut = now
        size, seconds = self._lately[0] + length, self._lately[1] + took
        self._lately = (size / 2, seconds / 2) if length >= _SOON_BYTES else (0.0, 0.0)
        behind = max(0, self._server_end - self._start - length - RUN_BYTES)
        return (size + behind) / seconds if seconds else math.inf

    def everything(self) -> Iterator[Run]:
        """To the last byte, though a record be cut there: a segment of an archive ends so.

        What such a record tells comes with the run in which it ends.
        """
        while (run := self.rest()) is not None:
            yield run
        if self._raw:
            start, end = self._start, Lsn(self._start + len(self._raw))
            raw, self._start = bytes(self._raw), end
            self._raw.clear()
            pace, unended = self._pace(len(raw)), self._reader.unended()
            yield Run(self._timeline, start, end, raw, [], pace, 0, unended)
