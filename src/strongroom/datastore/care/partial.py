"""Partial deltas: what a backup under way has stored so far, so that the next try need not again.

`SoFar` and `ChunksSoFar` are the writer's side: they look at what was sent since they last looked,
and tell as much of each file (or those chunks) as lies in packs that are in storage. `lay_partial`
is the reader's side: one is laid over what came before, as a delta is laid over a parent. Nothing
that comes of it is a recovery point (docs/decisions/0121).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Protocol

import msgspec

from strongroom.datastore.dumps.chunks import ChunkBook, ChunkTable, Part, table_of
from strongroom.datastore.maps.delta import Delta, lay_over
from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import (
    VERSION,
    FileFacts,
    Manifest,
    PackFacts,
    PointFacts,
    Source,
)
from strongroom.datastore.writing.writer import DatastoreWriter, RawStream
from strongroom.model.postgres import PAGE
from strongroom.model.seams import Clock

_SHARE = 256  # of what was stored before: of a large server there are some thousands of them
_MOST = 1 << 30  # stored bytes between two partial deltas
_COST = 32  # times as much is stored after one as it had bytes itself
_REST = 32  # times as long is backed up after one as it took itself

_NOBODY = PointFacts(recovery_point_id="", instance_id="", job_id="", taken_at="", committed_at="")


class Versions(Protocol):
    """The page versions that were noted of a file."""

    def __call__(self, path: str, pages: int, *, in_part: bool) -> bytes | None:
        """Of so many pages at its beginning, if they are known.

        `in_part`: with what comes after them as the parent's; None where nobody can say so.
        """
        ...


class Due:
    """When the next partial delta is: after each pack at first, then with each 256th more.

    Whoever reads the server waits for it: it has a 32nd of the bytes, and of the time, at most.
    """

    def __init__(self, writer: DatastoreWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._next = 1
        self._not_before = 0.0  # on the monotonic clock

    def __call__(self) -> bool:
        """Whether enough was stored since the last one."""
        if self._writer.stored_bytes < self._next:
            return False
        return self._clock.monotonic() >= self._not_before

    def put(self, size: int, seconds: float) -> None:
        """One was put, of so many bytes, in that time; of none: there was nothing to tell."""
        stored = self._writer.stored_bytes
        self._next = stored + max(1, min(max(stored // _SHARE, size * _COST), _MOST))
        self._not_before = self._clock.monotonic() + seconds * _REST


@dataclass(slots=True)
class _File:
    """A file, or as much of it as lies in storage without a gap."""

    facts: FileFacts
    kept: int | None
    extents: list[Extent] = field(default_factory=list)
    versions: bytes = b""


class SoFar:
    """Of a physical backup. For the thread that writes `stream`."""

    def __init__(self, writer: DatastoreWriter, stream: RawStream, versions: Versions) -> None:
        self._writer = writer
        self._stream = stream
        self._versions = versions
        self._seen = 0  # extents of the writer
        self._waiting: dict[int, _File] = {}  # ended, until all of their packs are sent
        self._ends: dict[int, int] = {}  # of files told in part: as far as they were

    def delta(self, source: Source) -> Delta | None:
        """What has been stored since the last time; None when it is nothing of use."""
        extents, files = self._writer.ended(self._seen)
        self._seen += len(extents)
        for extent in extents:
            facts, kept = files[extent.file]
            if facts.kind == "main":
                waiting = self._waiting.setdefault(extent.file, _File(facts, kept))
                waiting.extents.append(extent)
        under_way = self._stream.under_way()
        rows = [file.extents for file in self._waiting.values()]
        sent = self._writer.sent({row.pack for each in [*rows, under_way[2]] for row in each})
        found = [self._ended(index, sent) for index in list(self._waiting)]
        found.append(self._begun(*under_way, sent))
        return _delta(source, [file for file in found if file is not None], sent)

    def _ended(self, index: int, sent: Mapping[int, PackFacts]) -> _File | None:
        file = self._waiting[index]
        if any(row.pack not in sent for row in file.extents):
            return self._begun(file.facts, file.kept, file.extents, file.facts.size, sent)
        del self._waiting[index]
        self._ends.pop(index, None)
        versions = self._versions(file.facts.path, file.facts.size // PAGE, in_part=False)
        return None if versions is None else replace(file, versions=versions)

    def _begun(
        self,
        facts: FileFacts | None,
        kept: int | None,
        rows: list[Extent],
        end: int,
        sent: Mapping[int, PackFacts],
    ) -> _File | None:
        """Of a file as far as its packs are sent without a gap, if that is further than it was."""
        if facts is None or facts.kind != "main" or not rows:
            return None
        end = next((row.offset for row in rows if row.pack not in sent), end)
        end -= end % PAGE
        mine = rows[: bisect_left(rows, end, key=attrgetter("offset"))]
        if not mine:
            return None
        mine[-1] = _cut(mine[-1], end)
        if mine[-1].end <= self._ends.get(mine[0].file, 0):
            return None
        in_part = kept is not None and end <= kept
        versions = self._versions(facts.path, end // PAGE, in_part=in_part)
        if versions is None:
            return None
        self._ends[mine[0].file] = mine[-1].end
        if not in_part:
            facts = msgspec.structs.replace(facts, size=end)
        return _File(facts, kept, mine, versions)


def _cut(row: Extent, end: int) -> Extent:
    return Extent(row.file, row.offset, min(row.end, end) - row.offset, row.pack, row.raw)


def _delta(source: Source, found: list[_File], sent: Mapping[int, PackFacts]) -> Delta | None:
    if not found:
        return None
    places: dict[int, int] = {}
    rows = [
        Extent(index, e.offset, e.length, places.setdefault(e.pack, len(places)), e.raw)
        for index, file in enumerate(found)
        for e in file.extents
    ]
    return Delta(
        version=VERSION,
        source=source,
        files=[file.facts for file in found],
        extents=columns_of(rows),
        packs=[sent[pack] for pack in places],
        pg_manifest=b"",
        kept={index: file.kept for index, file in enumerate(found) if file.kept is not None},
        page_versions={file.facts.path: file.versions for file in found},
    )


@dataclass(slots=True)
class ChunksSoFar:
    """Of a dump. For one thread at a time."""

    writer: DatastoreWriter
    book: ChunkBook
    _seen: int = 0
    _waiting: list[Part] = field(default_factory=list)

    def delta(self, source: Source) -> Delta | None:
        """The chunks whose packs were sent since the last time; None when there is none."""
        rows = self.book.written(self._seen)
        self._seen += len(rows)
        rows = [*self._waiting, *rows]
        sent = self.writer.sent({row.place.pack for row in rows})
        lacking = {row.key for row in rows if row.place.pack not in sent}
        self._waiting = [row for row in rows if row.key in lacking]
        places: dict[int, int] = {}
        told = [
            row._replace(
                place=row.place._replace(pack=places.setdefault(row.place.pack, len(places)))
            )
            for row in rows
            if row.key not in lacking
        ]
        if not told:
            return None
        return Delta(
            version=VERSION,
            source=source,
            files=[],
            extents=columns_of([]),
            packs=[sent[pack] for pack in places],
            pg_manifest=b"",
            chunks=table_of(told),
        )


def _moved(row: Part, pack: int) -> Part:
    return row._replace(place=row.place._replace(pack=pack))


# --- what a later try may lean on


@dataclass(slots=True)
class Base:
    """The parent, if there is one, with what was stored after it. Not a recovery point.

    `starts`: path -> start LSN of the try that stored it, for files that are not as the parent's.
    """

    manifest: Manifest | None = None
    starts: dict[str, int] = field(default_factory=dict)

    @property
    def source(self) -> Source | None:
        """Of the newest part of it."""
        return None if self.manifest is None else self.manifest.source


def joined(deltas: Sequence[Delta]) -> Delta:
    """The partial deltas of one try as one: of a file that was told more than once, the last.

    Without page versions, of which there may be gigabytes.
    """
    told = enumerate(each.files for each in deltas)
    last = {file.path: (n, i) for n, files in told for i, file in enumerate(files)}
    index = {place: new for new, place in enumerate(last.values())}
    packs: dict[bytes, PackFacts] = {}
    places: dict[bytes, int] = {}
    rows: list[Extent] = []
    chunks: list[Part] = []
    for n, each in enumerate(deltas):
        ours = []
        for pack in each.packs:
            packs.setdefault(pack.id, pack)
            ours.append(places.setdefault(pack.id, len(places)))
        for extent in Extents.of_columns(each.extents):
            new = index.get((n, extent.file))
            if new is not None:
                place = ours[extent.pack]
                rows.append(Extent(new, extent.offset, extent.length, place, extent.raw))
        table = ChunkTable(each.chunks, len(each.packs))
        chunks += [_moved(part, ours[part.place.pack]) for part in table]
    return Delta(
        version=VERSION,
        source=deltas[-1].source,
        files=[deltas[n].files[i] for n, i in last.values()],
        extents=columns_of(rows),
        packs=list(packs.values()),
        pg_manifest=b"",
        kept={index[n, i]: deltas[n].kept[i] for n, i in last.values() if i in deltas[n].kept},
        chunks=table_of(chunks),
    )


def lay_partial(base: Base, delta: Delta) -> Base:
    """The next try over what came before it. Raises Corrupt when they do not fit together."""
    if delta.chunks.get("key"):
        return Base(_with_chunks(base.manifest, delta))
    manifest = lay_over(delta, _NOBODY, base.manifest)
    started = dict.fromkeys((file.path for file in delta.files), delta.source.start_lsn)
    return Base(manifest, {**base.starts, **started})


def _with_chunks(older: Manifest | None, delta: Delta) -> Manifest:
    packs = list(older.packs) if older else []
    places = {pack.id: index for index, pack in enumerate(packs)}
    rows = list(ChunkTable(older.chunks, len(packs))) if older else []
    moved = []
    for pack in delta.packs:
        if pack.id not in places:
            places[pack.id] = len(packs)
            packs.append(pack)
        moved.append(places[pack.id])
    for row in ChunkTable(delta.chunks, len(delta.packs)):
        rows.append(_moved(row, moved[row.place.pack]))
    if older is None:
        older = _nothing(delta.source)
    return msgspec.structs.replace(older, packs=packs, chunks=table_of(rows)).check()


def _nothing(source: Source) -> Manifest:
    return Manifest(
        version=VERSION,
        facts=_NOBODY,
        source=source,
        files=[],
        extents=columns_of([]),
        packs=[],
        pg_manifest=b"",
    )


def is_same_server(base: Base, delta: Delta) -> bool:
    """Whether a partial delta is of the server, and of the history, that the base is of."""
    if base.source is None or not base.source.system_identifier:
        return True
    ours, theirs = base.source, delta.source
    same = ours.system_identifier == theirs.system_identifier
    return same and (not base.starts or ours.timeline == theirs.timeline)
