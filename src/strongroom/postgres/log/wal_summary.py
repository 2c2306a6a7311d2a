"""What a range of log tells: commits, what was deleted, restore points, and whose log it is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from strongroom.model.postgres import Lsn
from strongroom.model.wal import RestorePoint, Second, Summary
from strongroom.postgres.log.wal_source import forks_of
from strongroom.postgres.wire.wal import (
    PAGE,
    Abort,
    Commit,
    Event,
    Minimal,
    Named,
    WalReader,
    begins_at,
)

_MOST_RELATIONS = 8  # of one second
_MOST_RUNS = 256  # of transactions' numbers, of one pack
_LEAST_SEGMENT = 1 << 20
_HAS_LONG_HEADER = 0x02


class Names(Protocol):
    """What files of relations are called."""

    def learn(self, keys: set[str]) -> None:
        """These are asked for next: "database/file"."""

    def name(self, key: str) -> str | None:
        """Empty for what is of no interest, None for what is not known."""


class _Remembered:
    """Of a server that is not there to be asked: what was written down of it."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def learn(self, keys: set[str]) -> None:
        """Nobody can be asked."""

    def name(self, key: str) -> str | None:
        return self._names.get(key)


class LogLine:
    """Ranges of one timeline that join: what each tells, without a server that knows names."""

    def __init__(
        self,
        start: int,
        segment_size: int,
        version_number: int,
        history: str,
        names: Mapping[str, str],
    ) -> None:
        """`start`: where a record or a segment begins. `history`: the timeline's, may be empty.

        `names`: of relations, by "database/file", as far as they are known.
        """
        self._names = _Remembered(names)
        self._reader = WalReader(Lsn(start), segment_size, version_number)
        forks = forks_of(history)
        self._told_before = forks[-1][1] if forks else Lsn(0)

    def add(self, raw: bytes | memoryview) -> Summary:
        """The next range."""
        self._reader.feed(raw)
        events = [each for each in self._reader.take() if begins_at(each) >= self._told_before]
        return summary_of(events, self._names)


def is_log(raw: bytes, start: int) -> bool:
    """Whether each page of a range says that it lies where it lies; an empty page says nothing."""
    view = memoryview(raw)
    for at in range(-start % PAGE, len(raw) - 16, PAGE):
        address = int.from_bytes(view[at + 8 : at + 16], "little")
        if address != start + at and any(view[at : at + 16]):
            return False
    return True


def server_of(raw: bytes, start: int) -> tuple[str, int] | None:
    """(system identifier, segment size), as the first page of a segment tells; None without one.

    Source: PostgreSQL src/include/access/xlog_internal.h, XLogLongPageHeaderData.
    """
    for at in range(-start % _LEAST_SEGMENT, len(raw) - 40, _LEAST_SEGMENT):
        page = raw[at : at + 40]
        if page[2] & _HAS_LONG_HEADER and int.from_bytes(page[8:16], "little") == start + at:
            identifier = int.from_bytes(page[24:32], "little")
            return str(identifier), int.from_bytes(page[32:36], "little")
    return None


def summary_of(events: list[Event], names: Names) -> Summary:
    """What the records of a run tell, in the tables' names."""
    commits = [event for event in events if isinstance(event, Commit)]
    ends = [event for event in events if isinstance(event, Commit | Abort)]
    named = [
        RestorePoint(name=event.name, lsn=event.end, at=event.at)
        for event in events
        if isinstance(event, Named)
    ]
    minimal = min((event.start for event in events if isinstance(event, Minimal)), default=0)
    if not commits:
        return Summary(restore_points=named, minimal_lsn=minimal)
    names.learn({key for each in commits for key in (*each.deleted, *each.gone)})
    return Summary(
        commits=len(commits),
        first_at=min(each.at for each in commits),
        last_at=max(each.at for each in commits),
        last_lsn=commits[-1].start,
        least_xid=min(min((each.xid, *each.below)) for each in commits),
        most_xid=max(max((each.xid, *each.below)) for each in commits),
        restore_points=named,
        minimal_lsn=minimal,
        ended=_runs({each.xid for each in ends}),
        parts=_parts(ends),
        seconds=_seconds(commits, names),
    )


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """(first, last) of each run of them; none where there are too many."""
    found: list[tuple[int, int]] = []
    for each in sorted(numbers):
        if found and each == found[-1][1] + 1:
            found[-1] = found[-1][0], each
        else:
            found.append((each, each))
    return found if len(found) <= _MOST_RUNS else []


def _parts(ends: Sequence[Commit | Abort]) -> list[tuple[int, int, int]]:
    """(first, last, of what) of subtransactions, as many as can be told."""
    found: list[tuple[int, int, int]] = []
    for each in ends:
        found += [(first, last, each.xid) for first, last in _runs(set(each.below))]
        if len(found) > _MOST_RUNS:
            break
    return found[:_MOST_RUNS]


def _seconds(commits: list[Commit], names: Names) -> list[Second]:
    """What went, second by second."""
    seconds: dict[int, Second] = {}
    most: dict[int, tuple[int, int]] = {}  # second -> (tables gone, rows) of the gravest commit
    gravest: dict[tuple[int, str], int] = {}  # (second, table) -> rows of its gravest commit
    for each in commits:
        at = each.at // 1_000_000
        second = seconds.setdefault(
            at, Second(at=at, deleted={}, gone=[], deleted_at={}, gone_at={})
        )
        second.commits += 1
        rows = 0
        for key, count in each.deleted.items():
            name = names.name(key)
            if name != "":
                rows += count
                table = name or key
                second.deleted[table] = second.deleted.get(table, 0) + count
                if count > gravest.get((at, table), 0):
                    gravest[at, table], second.deleted_at[table] = count, each.at
        gone = [name for key in each.gone if (name := names.name(key))]
        for name in gone:
            second.gone_at.setdefault(name, each.at)
        if (gone or rows) and (len(gone), rows) > most.get(at, (0, 0)):
            most[at], second.lost_at = (len(gone), rows), each.at
    return [_shortened(seconds[at]) for at in sorted(seconds)]


def _shortened(second: Second) -> Second:
    most = sorted(second.deleted.items(), key=lambda each: -each[1])[:_MOST_RELATIONS]
    second.deleted = dict(most)
    second.gone = list(second.gone_at)[: 4 * _MOST_RELATIONS]
    second.deleted_at = {name: second.deleted_at[name] for name in second.deleted}
    second.gone_at = {name: second.gone_at[name] for name in second.gone}
    return second
