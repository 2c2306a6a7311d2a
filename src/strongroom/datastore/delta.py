"""What a writer reports: sealed like a manifest, never a recovery point by itself.

A full backup's delta is all there is. An incremental one leans on a parent: files that it does not
name stay as they were, files in `gone` go, and of a file in `kept` it brings only what changed.
Laying it over the parent gives a manifest that needs the parent no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from strongroom.datastore.extents import Extent, ExtentColumns, Extents
from strongroom.datastore.manifest import (
    VERSION,
    FileFacts,
    Manifest,
    PackFacts,
    PagePart,
    PointFacts,
    Size,
    Source,
    Written,
    check_map,
    check_parts,
    decode_checked,
)
from strongroom.datastore.pack import (
    DELTA,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.seal import KeyPair, PublicKey
from strongroom.model.errors import Corrupt
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock


class Delta(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Files with the extents that were written for them.

    kept: index of a file -> bytes at its beginning that stay the parent's where no extent of this
    delta lies; what neither covers reads as zeros. A file that is not in `kept` is whole.
    gone: paths of the parent that are no more.
    page_versions, page_parts: as in the manifest; the parent's do not count any more.
    chunks, reused: of a dump, the chunks that were written, and the stretches of its files that
    are chunks of the parent (chunks.py). dump_map.py alone lays such a delta over its parent.
    """

    version: int
    source: Source
    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    pg_manifest: bytes
    kept: dict[int, Size] = {}
    gone: list[str] = []
    page_versions: dict[str, bytes] = {}
    page_parts: list[PagePart] = []
    chunks: dict[str, bytes] = {}
    reused: dict[str, bytes] = {}


def delta_of(
    written: Written,
    source: Source,
    pg_manifest: bytes,
    gone: Sequence[str] = (),
    page_versions: Mapping[str, bytes] = MappingProxyType({}),
) -> Delta:
    """What a writer wrote, with what the server says of it."""
    return Delta(
        version=VERSION,
        source=source,
        files=written.files,
        extents=written.extents,
        packs=written.packs,
        pg_manifest=pg_manifest,
        kept=written.kept,
        gone=list(gone),
        page_versions=dict(page_versions),
    )


def of_whole_tree(delta: Delta, parent: Manifest) -> Delta:
    """The delta of a writer that names every file of the tree: what it does not name is gone."""
    named = {file.path for file in delta.files}
    gone = [file.path for file in parent.files if file.path not in named]
    return msgspec.structs.replace(delta, gone=gone)


def seal_delta(delta: Delta, public: PublicKey, clock: Clock, chance: Chance) -> bytes:
    """The object `d/<job>.<epoch>.delta`."""
    pack_id = PackId(uuid7(clock.now(), chance))
    return pack_bytes(DELTA, msgspec.msgpack.encode(delta), pack_id, public, chance)


def open_delta(stored: bytes, pair: KeyPair) -> Delta:
    """With the catalogue key; checked like anything from outside."""
    content_key = open_content_key(read_header(stored, DELTA), pair)
    delta: Delta = decode_checked(unpack_bytes(DELTA, stored, content_key), Delta)
    if delta.version != VERSION:
        raise Corrupt(f"this delta is version {delta.version}, we read version {VERSION}")
    check_map(delta.files, delta.extents, delta.packs)
    check_parts(delta.packs, delta.page_parts)
    if any(not 0 <= index < len(delta.files) for index in delta.kept):
        raise Corrupt("a delta keeps a part of a file that it does not name")
    return delta


def lay_over(delta: Delta, facts: PointFacts, parent: Manifest | None = None) -> Manifest:
    """The synthetic-full manifest: the parent's files with the delta's over them.

    Without a parent the delta is a full backup: all of every file must be there. Raises Corrupt
    when they do not fit together; whether a parent may serve (system identifier apart, which is
    compared here) is the caller's decision.
    """
    rows = check_map(delta.files, delta.extents, delta.packs)
    _check_whole(delta, rows)
    if parent is None:
        if delta.kept or delta.gone:
            raise Corrupt("an incremental delta was given no parent")
        return _manifest(delta, facts, delta.files, delta.extents, delta.packs)
    if parent.source.system_identifier != delta.source.system_identifier:
        raise Corrupt("the delta is of another server than its parent")
    packs = _Packs(parent.packs, delta.packs)
    files, extents = _laid_over(parent, delta, rows, packs)
    return _manifest(delta, facts, files, extents, packs.used)


def _manifest(
    delta: Delta,
    facts: PointFacts,
    files: list[FileFacts],
    extents: dict[str, bytes],
    packs: list[PackFacts],
) -> Manifest:
    generations = {pack.generation for pack in [*delta.packs, *delta.page_parts]}
    if len(generations) > 1 or (facts.generation and generations - {facts.generation}):
        raise Corrupt("a delta names packs of more than its own generation")
    generation = facts.generation or next(iter(generations), "")
    return Manifest(
        version=VERSION,
        facts=msgspec.structs.replace(facts, generation=generation),
        source=delta.source,
        files=files,
        extents=extents,
        packs=packs,
        pg_manifest=delta.pg_manifest,
        page_versions=delta.page_versions,
        page_parts=delta.page_parts,
    ).check()


def _check_whole(delta: Delta, rows: Extents) -> None:
    """Every byte of a file that leans on no parent has been written."""
    covered = [0] * len(delta.files)
    for extent in rows:
        covered[extent.file] += extent.length
    for index, file in enumerate(delta.files):
        if index not in delta.kept and covered[index] != file.size:
            raise Corrupt(f"{file.path} was not written whole")


def _laid_over(
    parent: Manifest, delta: Delta, ours: Extents, packs: "_Packs"
) -> tuple[list[FileFacts], dict[str, bytes]]:
    """Files in the parent's order, new ones last; and their extents. One file at a time is looked
    at: of all their extents, millions perhaps, only the columns are held.
    """
    newer = {file.path: index for index, file in enumerate(delta.files)}
    gone = set(delta.gone)
    if not gone.isdisjoint(newer):
        raise Corrupt("a delta names a file that it says is gone")
    theirs = parent.all_extents()
    files: list[FileFacts] = []
    extents = ExtentColumns()

    def place(over: int | None, older: list[Extent]) -> None:
        found = list(_of_file(len(files), delta, over, ours.of_file(over), older))
        for extent, is_new in sorted(found, key=lambda each: each[0].offset):
            extents.add(packs.place(extent, from_delta=is_new))

    for index, file in enumerate(parent.files):
        if file.path in gone:
            continue
        over = newer.pop(file.path, None)
        place(over, theirs.of_file(index))
        files.append(file if over is None else delta.files[over])
    for index in newer.values():
        if index in delta.kept:
            raise Corrupt(f"the parent has no {delta.files[index].path} to keep a part of")
        place(index, [])
        files.append(delta.files[index])
    return files, extents.stored()


def _of_file(
    index: int, delta: Delta, over: int | None, ours: list[Extent], theirs: list[Extent]
) -> Iterator[tuple[Extent, bool]]:
    """The extents of one file under its new index."""
    limit = None if over is None else min(delta.kept.get(over, 0), delta.files[over].size)
    for extent in theirs if limit is None else _left_over(theirs, ours, limit):
        yield msgspec.structs.replace(extent, file=index), False
    for extent in ours:
        yield msgspec.structs.replace(extent, file=index), True


def _left_over(theirs: list[Extent], ours: list[Extent], limit: int) -> Iterator[Extent]:
    """What stays of the parent's extents below `limit`, around ours. Both are sorted."""
    first = 0
    for extent in theirs:
        start, end = extent.offset, min(extent.end, limit)
        while first < len(ours) and ours[first].end <= start:
            first += 1
        for place in range(first, len(ours)):  # a slice would copy all that is left, each time
            cover = ours[place]
            if cover.offset >= end:
                break
            if cover.offset > start:
                yield _part(extent, start, cover.offset)
            start = max(start, cover.end)
        if start < end:
            yield _part(extent, start, end)


def _part(extent: Extent, start: int, end: int) -> Extent:
    raw = extent.raw + start - extent.offset
    return Extent(extent.file, start, end - start, extent.pack, raw)


class _Packs:
    """The packs that the new manifest leans on, in the order of their first use."""

    def __init__(self, older: list[PackFacts], newer: list[PackFacts]) -> None:
        self.used: list[PackFacts] = []
        self._lists = (older, newer)
        self._places: dict[bytes, int] = {}

    def place(self, extent: Extent, *, from_delta: bool) -> Extent:
        """The extent with its pack's index in `used`."""
        pack = self._lists[from_delta][extent.pack]
        found = self._places.setdefault(pack.id, len(self.used))
        if found == len(self.used):
            self.used.append(pack)
        elif self.used[found] != pack:
            raise Corrupt(f"the delta and its parent disagree about pack {pack.pack_id}")
        return msgspec.structs.replace(extent, pack=found)
