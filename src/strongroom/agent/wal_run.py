"""Runs of log: what is sealed together, cut where records end, and what happened in it."""

from dataclasses import dataclass

from strongroom.model.postgres import Lsn, Timeline
from strongroom.model.seams import Clock
from strongroom.model.wal import RestorePoint, Second, Summary
from strongroom.postgres.relation_names import RelationNames
from strongroom.postgres.wal_source import Found, Place, forks_of
from strongroom.postgres.wire.wal import Commit, Event, Named, WalReader

RUN_BYTES = 16 << 20
MOST_BYTES = 32 << 20  # of a pack: a record longer than that is cut
_SOON_BYTES, _SOON_SECONDS = 1 << 20, 1.0  # a busy server's log does not wait as long
_MOST_RELATIONS = 8  # of one second


@dataclass(slots=True)
class Run:
    """Log from `start` to `end` of one timeline."""

    timeline: Timeline
    start: Lsn
    end: Lsn
    raw: bytes
    events: list[Event]


class Runs:
    """Add what comes; take what is due to be sealed."""

    def __init__(self, place: Place, found: Found, clock: Clock, seal_seconds: float) -> None:
        self._timeline = place.timeline
        self._start = place.start
        self._clock = clock
        self._seal_seconds = seal_seconds
        self._raw = bytearray()
        self._since = 0.0  # when the oldest byte came
        size, version = found.system.wal_segment_size, found.system.version_number
        self._reader = WalReader(place.start, size, version)
        # The first segment of a timeline repeats what the one before has told of.
        forks = forks_of(found.histories.get(place.timeline, ""))
        self._told_before = forks[-1][1] if forks else Lsn(0)

    def add(self, data: memoryview) -> None:
        """The next bytes."""
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
        events = [each for each in self._reader.take() if _at(each) >= self._told_before]
        run = Run(self._timeline, self._start, end, bytes(self._raw[:length]), events)
        del self._raw[:length]
        self._start = end
        self._since = self._clock.monotonic()
        return run


def _at(event: Event) -> Lsn:
    return event.start if isinstance(event, Commit) else event.end


def summary_of(events: list[Event], names: RelationNames) -> Summary:
    """What the records of a run tell, in the tables' names."""
    commits = [event for event in events if isinstance(event, Commit)]
    named = [
        RestorePoint(name=event.name, lsn=event.end, at=event.at)
        for event in events
        if isinstance(event, Named)
    ]
    if not commits:
        return Summary(restore_points=named)
    names.learn({key for each in commits for key in (*each.deleted, *each.gone)})
    return Summary(
        commits=len(commits),
        first_at=min(each.at for each in commits),
        last_at=max(each.at for each in commits),
        last_lsn=commits[-1].start,
        least_xid=min(each.xid for each in commits),
        most_xid=max(each.xid for each in commits),
        restore_points=named,
        seconds=_seconds(commits, names),
    )


def _seconds(commits: list[Commit], names: RelationNames) -> list[Second]:
    """What went, second by second."""
    seconds: dict[int, Second] = {}
    most: dict[int, tuple[int, int]] = {}  # second -> (tables gone, rows) of the gravest commit
    for each in commits:
        at = each.at // 1_000_000
        second = seconds.setdefault(at, Second(at=at, deleted={}, gone=[]))
        second.commits += 1
        rows = 0
        for key, count in each.deleted.items():
            name = names.name(key)
            if name != "":
                rows += count
                second.deleted[name or key] = second.deleted.get(name or key, 0) + count
        gone = [name for key in each.gone if (name := names.name(key))]
        second.gone += [name for name in gone if name not in second.gone]
        if (gone or rows) and (len(gone), rows) > most.get(at, (0, 0)):
            most[at], second.lost_at = (len(gone), rows), each.at
    return [_shortened(seconds[at]) for at in sorted(seconds)]


def _shortened(second: Second) -> Second:
    most = sorted(second.deleted.items(), key=lambda each: -each[1])[:_MOST_RELATIONS]
    second.deleted = dict(most)
    del second.gone[4 * _MOST_RELATIONS :]
    return second
