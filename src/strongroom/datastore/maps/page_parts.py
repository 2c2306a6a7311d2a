"""Page versions of a large server: parts beside the packs, so that nobody must hold all of them.

Up to a few megabytes they stand in the manifest. Beyond that each part is an object of its own,
sealed like a manifest, whose content key lies in the manifest that names it: who may open the one
may open the others (docs/format.md).
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from blake3 import blake3

from strongroom.datastore.maps.manifest import Manifest, PagePart
from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.pack import PAGES, pack_bytes, unpack_bytes
from strongroom.datastore.packs.seal import PublicKey
from strongroom.datastore.places.blobs import Blobs, Creates
from strongroom.model.errors import Corrupt, ObjectExists
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock

INLINE_BYTES = 8 << 20  # of all records: about 13 GB of relations
PART_BYTES = 4 << 20
_HELD = 2  # parts that a reader keeps

Records = dict[str, bytes]


def store_page_versions(
    versions: Mapping[str, bytes],
    blobs: Creates,
    generation: str,
    catalogue_key: PublicKey,
    clock: Clock,
    chance: Chance,
) -> tuple[Records, list[PagePart]]:
    """(what stands in the manifest, the parts that were stored): one of them is empty.

    Raises what `create` raises.
    """
    if _is_small(versions):
        return dict(versions), []
    return {}, store_records(versions, blobs, generation, catalogue_key, clock, chance)


def store_records(
    records: Mapping[str, bytes],
    blobs: Creates,
    generation: str,
    catalogue_key: PublicKey,
    clock: Clock,
    chance: Chance,
) -> list[PagePart]:
    """All of them in parts, however few they are. Raises what `create` raises."""
    parts = []
    for batch in _batches(records):
        part, stored = _seal(batch, generation, catalogue_key, clock, chance)
        # Under our own fresh id: an answer was lost, and the commit has it re-read.
        with contextlib.suppress(ObjectExists):
            blobs.create(part.name, stored)
        parts.append(part)
    return parts


def _is_small(versions: Mapping[str, bytes]) -> bool:
    total = 0
    for path in versions:
        total += len(versions[path])
        if total > INLINE_BYTES:
            return False
    return True


def _batches(versions: Mapping[str, bytes]) -> Iterator[Records]:
    records: Records = {}
    held = 0
    for path in versions:
        record = versions[path]
        if records and held + len(record) > PART_BYTES:
            yield records
            records, held = {}, 0
        records[path] = record
        held += len(record)
    if records:
        yield records


def _seal(
    records: Records, generation: str, catalogue_key: PublicKey, clock: Clock, chance: Chance
) -> tuple[PagePart, bytes]:
    pack_id, key = PackId(uuid7(clock.now(), chance)), chance.bytes(32)
    raw = msgspec.msgpack.encode(records)
    stored = pack_bytes(PAGES, raw, pack_id, catalogue_key, chance, key=key)
    part = PagePart(
        id=pack_id.bytes,
        generation=generation,
        size=len(stored),
        blake3=blake3(stored).digest(),
        raw_size=len(raw),
        key=key,
        paths=list(records),
    )
    return part, stored


def open_part(blobs: Blobs, part: PagePart) -> Records:
    """What it holds: path -> record. Raises Corrupt, ObjectMissing, StoreUnavailable."""
    stored = blobs.read_range(part.name, 0, part.size + 1)
    if len(stored) != part.size or blake3(stored).digest() != part.blake3:
        raise Corrupt(f"page versions {part.pack_id} are not what was written")
    records: Records = decode_checked(unpack_bytes(PAGES, stored, part.key), Records)
    if list(records) != part.paths:
        raise Corrupt(f"page versions {part.pack_id} are of other files")
    return records


class PageVersions(Mapping[str, bytes]):
    """Records by path, fetched a part at a time when they are asked for. Safe for threads."""

    def __init__(
        self,
        inline: Mapping[str, bytes],
        parts: Sequence[Sequence[str]],
        fetch: Callable[[int], Mapping[str, bytes]],
    ) -> None:
        """`parts`: the paths of each; `fetch(n)` gives part number n."""
        self._inline = inline
        self._part_of = {path: number for number, paths in enumerate(parts) for path in paths}
        self._fetch = fetch
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Mapping[str, bytes]] = OrderedDict()

    def __getitem__(self, path: str) -> bytes:
        if path in self._inline:
            return self._inline[path]
        number = self._part_of[path]
        with self._lock:
            if number not in self._held:
                while len(self._held) >= _HELD:
                    self._held.popitem(last=False)
                self._held[number] = self._fetch(number)
            self._held.move_to_end(number)
            return self._held[number][path]

    def __contains__(self, path: object) -> bool:
        return path in self._inline or path in self._part_of

    def __iter__(self) -> Iterator[str]:
        yield from self._inline
        yield from self._part_of

    def __len__(self) -> int:
        return len(self._inline) + len(self._part_of)


def versions_of(manifest: Manifest, blobs: Blobs) -> PageVersions:
    """Those of a point, for whoever has opened its manifest and may read its storage."""
    parts = manifest.page_parts
    paths = [part.paths for part in parts]
    return PageVersions(manifest.page_versions, paths, lambda n: open_part(blobs, parts[n]))
