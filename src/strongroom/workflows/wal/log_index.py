"""What the catalogue knew of the log, learnt again from the log itself.

A range that lies in storage and has no row is opened and read: where it ends, whose it is, what
was committed in it. Nobody but the catalogue knows which ranges it had taken; so what opens, and
joins what the points' servers have written, counts. It is kept from now on for a whole window.
Names of tables are not in the log: points tell those of the largest, the others go by number.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.wal import wal
from strongroom.datastore.packs.wal_pack import open_any_log
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, WrongKey
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.wal import (
    Summary,
    WalHistory,
    WalMissing,
    WalPack,
    read_history_name,
    read_name,
)
from strongroom.model.work.logical import LOGICAL
from strongroom.workflows.basis.means import Means
from strongroom.workflows.wal.wal_keeping import days_kept

_AHEAD = 4  # packs that are fetched and opened meanwhile
_AT_ONCE = 64  # rows in one transaction
_MOST_POINTS = 16  # that are asked for names
_GAP = "it was not in storage when the catalogue was rebuilt"
_UNREADABLE = (Corrupt, Invalid, ObjectMissing, WrongKey)


class Line(Protocol):
    """Ranges that join, read one after the other."""

    def add(self, raw: memoryview) -> Summary:
        """What the next range tells."""


@dataclass(frozen=True, slots=True)
class LogReading:
    """How log is read; this room knows nothing of PostgreSQL (app/rebuild.py).

    is_log(raw, start); server_of(raw, start) -> (system, segment size), None where it does not
    say; line(start, segment size, version number, text of the timeline's history, names of
    relations by "database/file").
    """

    is_log: Callable[[bytes, int], bool]
    server_of: Callable[[bytes, int], tuple[str, int] | None]
    line: Callable[[int, int, int, str, Mapping[str, str]], Line]


class Indexed(msgspec.Struct, kw_only=True):
    """What became of an instance's log."""

    ranges: int = 0  # that are known from now on
    gone: int = 0  # that were known, and are not in storage any more
    problems: list[str] = []


def index_log(means: Means, instance_id: InstanceId, reading: LogReading) -> Indexed:
    """Safe twice. Raises StoreError. Points must be known already: theirs is the log."""
    found = Indexed()
    blobs = means.storage.container(instance_id)
    try:
        listed = {name for name, _ in blobs.list("w/")}
    except ObjectMissing:  # its protection was never set up: there is no container
        return found
    with means.control.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, instance_id)
    servers = _servers(means, instance_id, points)
    if not servers:
        return found
    with means.control.database.writing() as connection:
        rows = {row["name"]: row for row in wal.list_packs(connection, instance_id)}
        gone = [name for name in rows if name not in listed]
        wal.drop(connection, instance_id, gone)
    found.gone = len(gone)
    histories = _histories(means, blobs, instance_id, listed)
    called = _names(means, instance_id, points)
    index = _Index(means, instance_id, reading, servers, histories, called, found)
    for timeline, names in _by_timeline(listed).items():
        index.read(timeline, names, rows)
    index.note_stream()
    return found


@dataclass(frozen=True, slots=True)
class _Server:
    """One system that points were taken of."""

    version_number: int
    segment_size: int
    since: Instant  # its oldest point


def _servers(
    means: Means, instance_id: InstanceId, points: Sequence[RecoveryPoint]
) -> dict[str, _Server]:
    """By system identifier, that of the newest point first."""
    newest_first = sorted(points, key=lambda each: each.taken_at, reverse=True)
    found: dict[str, _Server] = {}
    for point in newest_first:
        system = str(point.facts.get("system_identifier", ""))
        if point.kind == LOGICAL or not system:
            continue
        if system in found:
            found[system] = _Server(
                found[system].version_number, found[system].segment_size, point.taken_at
            )
            continue
        source = means.open_point(instance_id, point.id)[1].source
        found[system] = _Server(source.version_number, source.wal_segment_size, point.taken_at)
    return found


def _names(
    means: Means, instance_id: InstanceId, points: Sequence[RecoveryPoint]
) -> dict[str, str]:
    """What the points of the log's window tell: "database/file" -> `shop.public.entries`.

    A file's number is seldom given twice; the newest point that names it is right.
    """
    since = means.control.clock.now().subtract(hours=24 * days_kept(means, instance_id))
    oldest_first = sorted(points, key=lambda each: each.taken_at)
    within = [each for each in oldest_first if each.taken_at >= since] or oldest_first[-1:]
    found: dict[str, str] = {}
    every = -(-len(within) // _MOST_POINTS) or 1
    for point in within[::-1][::every][::-1]:
        contents = means.open_point(instance_id, point.id)[1].contents
        for database, table, _, file in contents.tables if contents is not None else ():
            found[file] = f"{database}.{table}"
    found.pop("", None)
    return found


def _by_timeline(listed: set[str]) -> dict[int, list[str]]:
    """Names of ranges in the order of their starts."""
    places = sorted((place, name) for name in listed if (place := read_name(name)) is not None)
    found: dict[int, list[str]] = {}
    for place, name in places:
        found.setdefault(place[0], []).append(name)
    return found


def _histories(means: Means, blobs: Blobs, instance_id: str, listed: set[str]) -> dict[int, str]:
    """Timeline -> the text that its newest epoch put."""
    found: dict[int, str] = {}
    for timeline, _, name in sorted(
        (*place, name) for name in listed if (place := read_history_name(name)) is not None
    ):
        try:
            pair_of = partial(means.keyring.pair_of, instance_id)
            raw = open_any_log(blobs.read(name), pair_of)
        except _UNREADABLE:
            continue  # a timeline without its history is offered for itself alone
        found[timeline] = raw.decode(errors="replace")
    return found


@dataclass(slots=True)
class _Line:
    """One server's log on one timeline, as far as it was read without a hole."""

    start: int
    end: int
    time: Instant  # before which it was committed, as far as its commits tell
    reader: Line | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A range out of storage."""

    name: str
    start: int
    raw: bytes
    size: int
    digest: bytes


@dataclass(slots=True)
class _Index:
    """The ranges of one instance, one timeline after the other."""

    means: Means
    instance_id: InstanceId
    reading: LogReading
    servers: Mapping[str, _Server]
    histories: Mapping[int, str]
    names: Mapping[str, str]  # of relations
    found: Indexed
    ends: dict[str, tuple[int, int]] = field(default_factory=dict)  # system -> (timeline, end)

    def read(self, timeline: int, names: list[str], rows: Mapping[str, sa.RowMapping]) -> None:
        """All of one timeline."""
        lines: dict[str, _Line] = {}
        pending: list[tuple[str, WalPack, Instant]] = []
        for name, future in self._opened(names, rows):
            if future is None:
                _pass_known(lines, rows[name])
                continue
            try:
                told = self._range(lines, timeline, future.result())
            except _UNREADABLE as error:
                self.found.problems.append(f"{name} was passed over: {error.message}")
                continue
            pending += [told] if told is not None else []
            if len(pending) >= _AT_ONCE:
                self._write(pending)
        self._write(pending)
        for system, line in lines.items():
            self._note_end(system, timeline, line.end)

    def note_stream(self) -> None:
        """Where the log of the newest point's server ends: there its agent goes on."""
        system, server = next(iter(self.servers.items()))
        end = self.ends.get(system)
        if end is None:
            return
        with self.means.control.database.writing() as connection:
            row = wal.stream_of(connection, self.instance_id)
            if row is not None and row["timeline"]:
                same = row["system_identifier"] == system
                if not same or (row["timeline"], row["end_lsn"]) >= end:
                    return
            sizes = {each: found.segment_size for each, found in self.servers.items()}
            facts = {} if row is None else dict(row["facts"])
            for of_the_end_before in ("tail", "tailStart", "unended"):
                facts.pop(of_the_end_before, None)
            wal.set_stream(
                connection,
                self.instance_id,
                facts={**facts, "segmentSizes": sizes},
                system_identifier=system,
                timeline=end[0],
                end_lsn=end[1],
                segment_size=server.segment_size,
                told_at=self.means.control.clock.now(),
            )

    def _opened(
        self, names: list[str], rows: Mapping[str, sa.RowMapping]
    ) -> Iterator[tuple[str, Future[_Opened] | None]]:
        """In order, the next ones opened meanwhile; None for what the catalogue knows."""
        waiting: deque[tuple[str, Future[_Opened] | None]] = deque()
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="log") as pool:
            for name in names:
                waiting.append((name, None if name in rows else pool.submit(self._open, name)))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft()
            yield from waiting

    def _open(self, name: str) -> _Opened:
        place = read_name(name)
        if place is None:
            raise Invalid(f"{name} is not the name of a range")
        stored = self.means.storage.container(self.instance_id).read(name)
        pair_of = partial(self.means.keyring.pair_of, self.instance_id)
        raw = open_any_log(stored, pair_of, place[1])
        return _Opened(name, place[1], raw, len(stored), blake3(stored).digest())

    def _range(
        self, lines: dict[str, _Line], timeline: int, opened: _Opened
    ) -> tuple[str, WalPack, Instant] | None:
        """One more; None when it tells nothing new. Raises Corrupt for what is no log of ours."""
        start, end = opened.start, opened.start + len(opened.raw)
        if not self.reading.is_log(opened.raw, start):
            raise Corrupt("it is no write-ahead log of that place")
        system = self._whose(lines, opened)
        line = lines.get(system)
        if line is not None and end <= line.end:
            return None  # written twice, by two epochs
        if line is None or start > line.end:
            line = self._begin(lines, system, timeline, start)
        if line.reader is None:
            server, history = self.servers[system], self.histories.get(timeline, "")
            line.reader = self.reading.line(
                line.end, server.segment_size, server.version_number, history, self.names
            )
        summary = line.reader.add(memoryview(opened.raw)[line.end - start :])
        if summary.commits:
            seen = Instant.from_timestamp(summary.last_at, unit="microsecond")
            line.time = min(self.means.control.clock.now(), seen)
        line.end = end
        pack = WalPack(
            name=opened.name,
            size=opened.size,
            blake3=opened.digest,
            timeline=timeline,
            start=start,
            end=end,
            summary=summary,
        )
        return system, pack, line.time

    def _whose(self, lines: Mapping[str, _Line], opened: _Opened) -> str:
        """A range without a segment's beginning joins another, or there is one server alone."""
        told = self.reading.server_of(opened.raw, opened.start)
        if told is not None:
            if told[0] not in self.servers:
                raise Corrupt(f"no point is of the server {told[0]}")
            return told[0]
        joined = [name for name, line in lines.items() if line.end == opened.start]
        within = [name for name, line in lines.items() if line.start <= opened.start < line.end]
        found = joined or within or list(self.servers)
        if len(found) != 1:
            raise Corrupt("whose log it is cannot be told")
        return found[0]

    def _begin(self, lines: dict[str, _Line], system: str, timeline: int, start: int) -> _Line:
        """The first of a server's, or what follows a hole."""
        before = lines.get(system)
        time = self.servers[system].since if before is None else before.time
        if before is not None:
            missing = WalMissing(timeline=timeline, start=before.end, end=start, why=_GAP)
            with self.means.control.database.writing() as connection:
                wal.add_gap(connection, self.instance_id, missing, time)
        lines[system] = _Line(start, start, time)
        return lines[system]

    def _note_end(self, system: str, timeline: int, end: int) -> None:
        self.ends[system] = max(self.ends.get(system, (0, 0)), (timeline, end))
        text = self.histories.get(timeline)
        if text is not None:
            told = WalHistory(timeline=timeline, text=text)
            with self.means.control.database.writing() as connection:
                wal.add_history(connection, self.instance_id, system, told)

    def _write(self, pending: list[tuple[str, WalPack, Instant]]) -> None:
        now = self.means.control.clock.now()
        until = now.add(hours=24 * days_kept(self.means, self.instance_id))
        with self.means.control.database.writing() as connection:
            for system, pack, at in pending:
                wal.add_packs(connection, self.instance_id, system, [pack], (at, until))
        self.found.ranges += len(pending)
        pending.clear()


def _pass_known(lines: dict[str, _Line], row: sa.RowMapping) -> None:
    """What the catalogue has is not read again; what follows it joins it."""
    if row["going"]:
        return
    line = lines.get(row["system_identifier"])
    if line is None or row["start_lsn"] > line.end:
        line = _Line(row["start_lsn"], row["start_lsn"], row["committed_at"])
        lines[row["system_identifier"]] = line
    if row["end_lsn"] > line.end:
        line.end, line.time, line.reader = row["end_lsn"], row["committed_at"], None
