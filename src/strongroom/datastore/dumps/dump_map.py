"""Lay the delta of a dump over its parent's map, where the chunks are that were not stored again.

The result is synthetic-full like every manifest: it names the packs it needs, the parent's too.
"""

from collections.abc import Iterator

from strongroom.datastore.dumps.chunks import (
    ChunkBook,
    ChunkTable,
    Part,
    Place,
    Reused,
    joined_extents,
    reused_rows,
    table_of,
)
from strongroom.datastore.maps.delta import Delta
from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import (
    VERSION,
    Manifest,
    PackFacts,
    PointFacts,
    Source,
    Written,
)
from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE

LOGICAL = "logical"
_LIVE_ENOUGH = 0.5


def dump_source(version_number: int, system_identifier: int) -> Source:
    """What a dump knows of its server: it has no place in the write-ahead log."""
    return Source(
        version_number=version_number,
        system_identifier=system_identifier,
        timeline=0,
        start_lsn=0,
        stop_lsn=0,
        checksums=False,
        block_size=PAGE,
        wal_segment_size=0,
    )


def delta_of_dump(written: Written, book: ChunkBook, source: Source) -> Delta:
    """What a writer wrote of a dump, and what it leans on."""
    chunks, reused = book.columns()
    return Delta(
        version=VERSION,
        source=source,
        files=written.files,
        extents=written.extents,
        packs=written.packs,
        pg_manifest=b"",
        chunks=chunks,
        reused=reused,
    )


def lay_dump(delta: Delta, facts: PointFacts, parent: Manifest | None) -> Manifest:
    """The manifest of a dump. Raises Corrupt when delta and parent do not fit together."""
    if delta.kept or delta.gone:
        raise Corrupt("the delta of a dump keeps parts of files")
    if any(pack.generation != facts.generation for pack in delta.packs):
        raise Corrupt("a delta names packs of more than its own generation")
    packs = _Packs(parent.packs if parent else [], delta.packs)
    known = ChunkTable(parent.chunks, len(parent.packs)) if parent else ChunkTable({}, 0)
    rows = [
        part._replace(place=packs.ours(part.place))
        for part in ChunkTable(delta.chunks, len(delta.packs))
    ]
    extents = [_moved(extent, packs) for extent in _extents_of(delta)]
    taken: set[bytes] = set()
    for stretch in reused_rows(delta.reused):
        parts = [part._replace(place=packs.parents(part.place)) for part in _need(known, stretch)]
        extents += _laid(stretch, parts)
        if stretch.key not in taken:
            taken.add(stretch.key)
            rows += parts
    extents.sort(key=lambda extent: (extent.file, extent.offset))
    _check_whole(delta, extents)
    return Manifest(
        version=VERSION,
        facts=facts,
        source=delta.source,
        files=delta.files,
        extents=columns_of(joined_extents(extents)),
        packs=packs.used,
        pg_manifest=b"",
        chunks=table_of(rows),
    ).check()


def is_worth_leaning_on(parent: Manifest) -> bool:
    """Whether at least half of what its packs hold is still part of it."""
    live = sum(part.place.length for part in ChunkTable(parent.chunks, len(parent.packs)))
    return live >= _LIVE_ENOUGH * sum(pack.raw_size for pack in parent.packs)


def _need(known: ChunkTable, stretch: Reused) -> list[Part]:
    found = known.find(stretch.key)
    if not found or sum(part.place.length for part in found) != stretch.length:
        raise Corrupt("a dump leans on a chunk that its parent does not hold")
    return found


def _laid(stretch: Reused, parts: list[Part]) -> Iterator[Extent]:
    for part in parts:
        place = part.place
        yield Extent(stretch.file, stretch.offset + part.at, place.length, place.pack, place.raw)


def _extents_of(delta: Delta) -> Iterator[Extent]:
    return iter(Extents.of_columns(delta.extents))


def _moved(extent: Extent, packs: "_Packs") -> Extent:
    place = packs.ours(Place(extent.pack, extent.raw, extent.length))
    return Extent(extent.file, extent.offset, extent.length, place.pack, place.raw)


def _check_whole(delta: Delta, extents: list[Extent]) -> None:
    covered = [0] * len(delta.files)
    for extent in extents:
        if extent.file >= len(covered):
            raise Corrupt("a stretch of a dump names no file")
        covered[extent.file] += extent.length
    for file, count in zip(delta.files, covered, strict=True):
        if count != file.size:
            raise Corrupt(f"{file.path} was not written whole")


class _Packs:
    """The packs that are named, each once, in the order in which they were first needed."""

    def __init__(self, older: list[PackFacts], newer: list[PackFacts]) -> None:
        self._older = older
        self._newer = newer
        self._index: dict[bytes, int] = {}
        self.used: list[PackFacts] = []

    def ours(self, place: Place) -> Place:
        """A place in a pack of the delta's list."""
        return self._placed(self._newer, place)

    def parents(self, place: Place) -> Place:
        """A place in a pack of the parent's list."""
        return self._placed(self._older, place)

    def _placed(self, packs: list[PackFacts], place: Place) -> Place:
        pack = packs[place.pack]
        if pack.id not in self._index:
            self._index[pack.id] = len(self.used)
            self.used.append(pack)
        return Place(self._index[pack.id], place.raw, place.length)
