"""Read every byte of a recovery point and say what is wrong with it. Nothing is kept of it.

Packs are read whole, whatever lies between what is needed, and opened with the keys of this point
alone. Then what they hold is held against what the server itself said of its files.
"""

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore.data_directory import restored_file
from strongroom.agent.restore.point_keys import PointKeys, open_manifest
from strongroom.datastore.dumps.chunk_check import ChunkCheck
from strongroom.datastore.maps.extents import Extent, Extents, columns_of
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.maps.page_parts import PageVersions, open_part
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files, rows_by_pack
from strongroom.datastore.reading.verify import DAMAGE, Finding, Take, lost_places, verify_packs
from strongroom.datastore.reading.wanted import Wanted
from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.postgres import PAGE, major_of
from strongroom.model.seams import Chance
from strongroom.model.work.operation import Completion, Progress
from strongroom.model.work.verify import MOST_PLACES, Damage, VerifyOrder, VerifyResult
from strongroom.postgres.backup.data_directory import segment_of
from strongroom.postgres.dump.list_dump import list_dump
from strongroom.postgres.part.point_check import PointCheck
from strongroom.postgres.server.tools import find_tools

_PAGES_OF_SEGMENT = 131072
_WINDOW = 4 << 20  # bytes of a dump that are at hand at once


def verify(
    held: HeldLease, open_container: OpenContainer, chance: Chance, share: Share = WHOLE
) -> Completion:
    """The whole story. What is damaged is told, object by object, and is no failure here.

    Raises StoreError for what cannot be read now, ToolsMissing, LeaseLost, Cancelled.
    """
    order = held.lease.verify
    if order is None:
        raise Invalid("not an order to verify")
    blobs = open_container(held, "read")
    keys = PointKeys(held, chance)
    manifest = open_manifest(order.manifest_name, order.recovery_point_id, blobs, keys)
    look = _Look(held, order, manifest, blobs, keys.packs, share.workers)
    damage = look.packs()
    if manifest.facts.kind == "logical":
        damage += look.dumps()
    return Completion(
        epoch=held.lease.epoch,
        verify=VerifyResult(
            files=len(manifest.files),
            checked_bytes=look.progress.done_bytes,
            fetched_bytes=look.progress.stored_bytes,
            damage=damage,
        ),
    )


@dataclass(slots=True)
class _Look:
    """One point that is being read."""

    held: HeldLease
    order: VerifyOrder
    manifest: Manifest
    blobs: Blobs
    keys: dict[bytes, bytes]
    workers: int
    progress: Progress = field(default_factory=lambda: Progress(step="Verifying"))
    lost: set[int] = field(default_factory=set)  # files of which packs have lost bytes

    def packs(self) -> list[Damage]:
        """Every byte of every pack, and what the bytes must come to."""
        manifest, progress = self.manifest, self.progress
        progress.total_bytes = sum(each.raw_size or each.size for each in manifest.objects)
        progress.files = len(manifest.files)
        self.held.tell(progress)
        lost = dict(self._page_parts())
        check = self._chunks() if self.order.chunk_key else self._files(lost)
        findings = verify_packs(
            manifest,
            self.blobs,
            self.keys,
            open_pack=check.open_pack,
            workers=self.workers,
            on_progress=self._advance,
        )
        self.held.check()
        places: dict[str, list[Extent]] = {finding.name: [] for finding in findings}
        for place in lost_places(manifest, findings):
            places[manifest.packs[place.pack].name].append(place)
            self.lost.add(place.file)
        return [
            *lost.values(),
            *(self._damaged(finding, places[finding.name]) for finding in findings),
            *check.damage(self.lost),
        ]

    def _advance(self, raw: int, stored: int) -> None:
        self.held.check()
        self.progress.done_bytes += raw
        self.progress.stored_bytes += stored
        self.progress.total_bytes = max(self.progress.total_bytes, self.progress.done_bytes)

    def _page_parts(self) -> Iterator[tuple[int, Damage]]:
        """Page versions beside the packs that are not as they were: number -> what."""
        for number, part in enumerate(self.manifest.page_parts):
            try:
                open_part(self.blobs, part)
            except DAMAGE as error:
                yield number, Damage(name=part.name, problem=error.message)
            self._advance(part.raw_size, part.size)

    def _files(self, lost: Collection[int]) -> "_Files":
        parts = self.manifest.page_parts
        paths = [[] if number in lost else part.paths for number, part in enumerate(parts)]
        inline = self.manifest.page_versions
        versions = PageVersions(inline, paths, lambda n: open_part(self.blobs, parts[n]))
        return _Files(self.held, self.manifest, versions)

    def _chunks(self) -> "_Chunks":
        return _Chunks(self.held, self.manifest, self.order.chunk_key)

    def _damaged(self, finding: Finding, places: list[Extent]) -> Damage:
        return damage_of(self.manifest, finding.name, finding.error.message, places)

    def dumps(self) -> list[Damage]:
        """PostgreSQL's own program reads the head of each dump that is whole."""
        tools = find_tools(major_of(self.manifest.source.version_number), program="pg_restore")
        found = []
        for index, file in enumerate(self.manifest.files):
            if index in self.lost or not file.path.endswith(".dump"):
                continue
            self.held.next_step(f"Listing {file.path}")
            problem = list_dump(tools, self._in_order(index))
            if problem:
                told = f"pg_restore cannot read {file.path}: {problem}"
                found.append(Damage(name=self.order.manifest_name, problem=told))
        return found

    def _in_order(self, index: int) -> Iterator[bytes]:
        """One file from its beginning, a few megabytes at a time."""
        window: list[Extent] = []
        for extent in self.manifest.all_extents():
            if extent.file != index:
                continue
            if window and extent.end - window[0].offset > _WINDOW:
                yield self._stretch(window)
                window = []
            window.append(extent)
        if window:
            yield self._stretch(window)

    def _stretch(self, extents: list[Extent]) -> bytes:
        self.held.check()
        base = extents[0].offset
        found = bytearray(extents[-1].end - base)

        def write(_file: int, offset: int, data: memoryview) -> None:
            found[offset - base : offset - base + len(data)] = data

        part = msgspec.structs.replace(self.manifest, extents=columns_of(extents))
        read_files(part, self.blobs, self.keys, write, workers=self.workers)
        return bytes(found)


@dataclass(slots=True)
class _Files:
    """Of a physical point: its files, as PostgreSQL's manifest and the page versions tell them."""

    held: HeldLease
    manifest: Manifest
    versions: Mapping[str, bytes]
    check: PointCheck = field(init=False)
    extents: Extents = field(init=False)
    rows: dict[int, "array[int]"] = field(init=False)

    def __post_init__(self) -> None:
        manifest = self.manifest
        files = [restored_file(file) for file in manifest.files]
        self.check = PointCheck(files, manifest.pg_manifest, self.versions)
        self.extents = manifest.all_extents()
        self.rows = rows_by_pack(self.extents)

    def open_pack(self, pack: int) -> Take:
        rows = self.rows.get(pack)
        if not rows:
            return lambda *_: None
        wanted = Wanted(self.extents[row] for row in rows)

        def take(start: int, data: memoryview) -> None:
            self.held.check()
            for file, offset, low, high in wanted.pieces(start, start + len(data)):
                self.check.write(file, offset, data[low - start : high - start])

        return take

    def damage(self, lost: set[int]) -> Iterator[Damage]:
        name = f"p/{self.manifest.facts.recovery_point_id}.manifest"
        try:
            found = self.check.wrong(lost)
        except Corrupt as error:
            yield Damage(name=name, problem=error.message)
            return
        for index, pages in found.items():
            path = self.manifest.files[index].path
            places = [Extent(index, page * PAGE, PAGE, 0, 0) for page in pages]
            problem = f"{path} is not as PostgreSQL's own manifest says"
            yield damage_of(self.manifest, name, problem, places)


@dataclass(slots=True)
class _Chunks:
    """Of a logical point: every chunk, by its digest."""

    held: HeldLease
    manifest: Manifest
    secret: bytes
    check: ChunkCheck = field(init=False)

    def __post_init__(self) -> None:
        packs = len(self.manifest.packs)
        self.check = ChunkCheck(self.manifest.chunks, packs, self.secret)

    def open_pack(self, pack: int) -> Take:
        take = self.check.open_pack(pack)

        def checked(start: int, data: memoryview) -> None:
            self.held.check()
            take(start, data)

        return checked

    def damage(self, lost: set[int]) -> Iterator[Damage]:
        del lost  # a chunk of which bytes are lost is not judged
        for part in self.check.wrong:
            pack = self.manifest.packs[part.place.pack].name
            stretch = (part.place.raw, part.place.raw + part.place.length)
            finding = Finding(pack, Corrupt("a chunk is not the one that was dumped"), (stretch,))
            places = list(lost_places(self.manifest, [finding]))
            yield damage_of(self.manifest, pack, finding.error.message, places)


def damage_of(manifest: Manifest, name: str, problem: str, places: list[Extent]) -> Damage:
    """In words: "base/5/1259, block 7 and 3 more", "pg_wal/0000…, byte 4096"."""
    told: list[str] = []
    for place in places[:MOST_PLACES]:
        file = manifest.files[place.file]
        before = (segment_of(file.path) or 0) * _PAGES_OF_SEGMENT
        first = before + place.offset // PAGE
        last = before + (place.offset + place.length - 1) // PAGE
        where = f"block {first}" if first == last else f"blocks {first} to {last}"
        told.append(
            f"{file.path}, {where}" if file.kind == "main" else f"{file.path}, byte {place.offset}"
        )
    return Damage(name=name, problem=problem, places=told, more=max(0, len(places) - MOST_PLACES))
