"""Partial deltas: what a backup under way has stored so far, so that the next try need not again.

`SoFar` and `ChunksSoFar` are the writer's side: they look at what was sent since they last looked,
and tell files (or chunks) all of whose packs are in storage. `lay_partial` is the reader's side:
one is laid over what came before, as a delta is laid over a parent. Nothing that comes of it is a
recovery point (docs/decisions/0121).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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

EVERY = 32 << 20  # stored bytes between two partial deltas
_SHARE = 32  # and a 32nd of what was stored before: of a large server there are a few hundred
_MOST = 4 << 30  # but never more than this

_NOBODY = PointFacts(recovery_point_id="", instance_id="", job_id="", taken_at="", committed_at="")

# (path, pages) -> page versions of so many pages at the file's beginning, if they were noted.
Versions = Callable[[str, int], bytes | None]


class Due:
    """When the next partial delta is: often at first, then with each 32nd more."""

    def __init__(self, writer: DatastoreWriter) -> None:
        self._writer = writer
        self._next = EVERY

    def __call__(self) -> bool:
        """Whether enough was stored since the last time that it said so."""
        stored = self._writer.stored_bytes
        if stored < self._next:
            return False
        self._next = stored + max(EVERY, min(stored // _SHARE, _MOST))
        return True


@dataclass(slots=True)
class _File:
    """A file, or its beginning, all of whose packs are in storage."""

    facts: FileFacts
    kept: int | None
    extents: list[Extent]
    versions: bytes


class SoFar:
    """Of a physical backup. For the thread that writes `stream`."""

    def __init__(self, writer: DatastoreWriter, stream: RawStream, versions: Versions) -> None:
        self._writer = writer
        self._stream = stream
        self._versions = versions
        self._seen = 0  # extents of the writer
        self._waiting: dict[int, list[Extent]] = {}  # by file: until its packs are sent

    def delta(self, source: Source) -> Delta | None:
        """What has been stored since the last time; None when it is nothing of use."""
        extents, files, kept = self._writer.ended(self._seen)
        self._seen += len(extents)
        for extent in extents:
            if files[extent.file].kind == "main":
                self._waiting.setdefault(extent.file, []).append(extent)
        sent = self._writer.sent()
        found: list[_File] = []
        for index in [i for i, rows in self._waiting.items() if all(e.pack in sent for e in rows)]:
            rows, facts = self._waiting.pop(index), files[index]
            versions = self._versions(facts.path, facts.size // PAGE)
            if versions is not None:
                found.append(_File(facts, kept.get(index), rows, versions))
        begun = self._beginning(sent)
        return _delta(source, found if begun is None else [*found, begun], sent)

    def _beginning(self, sent: Mapping[int, PackFacts]) -> _File | None:
        """Of the file under way, as far as its packs are sent without a gap."""
        facts, kept, extents, end = self._stream.under_way()
        if facts is None or facts.kind != "main":
            return None
        rows: list[Extent] = []
        for extent in extents:
            if extent.pack not in sent:
                end = extent.offset
                break
            rows.append(extent)
        end -= end % PAGE
        versions = self._versions(facts.path, end // PAGE) if rows and end > (kept or 0) else None
        if versions is None:
            return None
        begun = msgspec.structs.replace(facts, size=end)
        return _File(begun, kept, [_cut(row, end) for row in rows if row.offset < end], versions)


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
        sent = self.writer.sent()
        rows = [*self._waiting, *rows]
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
