"""Read every byte of a recovery point and say what is wrong with it: findings, not exceptions.

With keys every frame is opened; without any, the digests that the signed receipt states are
compared. What cannot be checked is no finding: an outage or a refusal (StoreUnavailable,
StoreDenied) is raised, so that it never looks like health, nor like damage.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from blake3 import blake3

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.manifest import Manifest, PackFacts
from strongroom.datastore.pack import PackReader
from strongroom.datastore.reader import StoredPack
from strongroom.datastore.receipt import Receipt
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, VaultError, WrongKey

DAMAGE = (Corrupt, ObjectMissing, WrongKey, Invalid)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object."""

    name: str
    error: VaultError


def verify_packs(
    manifest: Manifest,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    *,
    workers: int = 2,
    on_progress: Progress | None = None,
) -> list[Finding]:
    """Fetch every pack whole: size, BLAKE3, each frame, and that every extent lies in its pack.

    `content_keys`: pack id (16 bytes) -> key. `on_progress(raw bytes, stored bytes)` after each
    pack, in the caller's thread.
    """
    ends: dict[int, int] = {}
    for extent in manifest.all_extents():
        ends[extent.pack] = max(ends.get(extent.pack, 0), extent.raw + extent.length)
    tasks = [
        (pack.name, partial(_verify_pack, blobs, content_keys, pack, ends.get(index, 0)))
        for index, pack in enumerate(manifest.packs)
    ]
    return list(_findings(tasks, workers, on_progress))


def _verify_pack(
    blobs: Blobs, content_keys: Mapping[bytes, bytes], facts: PackFacts, end: int
) -> tuple[int, int]:
    if facts.id not in content_keys:
        raise WrongKey(f"no key was given for pack {facts.pack_id}")
    stored = StoredPack(blobs, facts)
    stored.load_whole()
    pack = PackReader(stored.fetch, facts.size, facts.pack_id, content_keys[facts.id])
    if end > pack.table.raw_size:
        raise Corrupt(f"an extent reaches beyond pack {facts.pack_id}")
    raw = sum(len(frame) for frame in pack.every_frame())
    return raw, facts.size


def verify_manifest(manifest: Manifest, receipt: Receipt) -> None:
    """The map is the one that the receipt speaks of; Corrupt otherwise."""
    if manifest.facts.recovery_point_id != receipt.recovery_point_id:
        raise Corrupt("the manifest is of another recovery point than its receipt")
    told = {(pack.name, pack.size, pack.blake3) for pack in receipt.packs}
    if told != {(pack.name, pack.size, pack.blake3) for pack in manifest.packs}:
        raise Corrupt("the manifest and its receipt do not name the same packs")


def scrub(receipt: Receipt, blobs: Blobs, *, workers: int = 2) -> list[Finding]:
    """Without a key: size and BLAKE3 of manifest and packs are those that the receipt states."""
    manifest = f"p/{receipt.recovery_point_id}.manifest"
    wanted = [(manifest, receipt.manifest_size, receipt.manifest_blake3)]
    wanted += [(pack.name, pack.size, pack.blake3) for pack in receipt.packs]
    tasks = [(name, partial(_scrub, blobs, name, size, digest)) for name, size, digest in wanted]
    return list(_findings(tasks, workers, None))


def _scrub(blobs: Blobs, name: str, size: int, digest: bytes) -> tuple[int, int]:
    stored = blobs.read_range(name, 0, size + 1)
    if len(stored) != size or blake3(stored).digest() != digest:
        raise Corrupt(f"{name} is not what was written")
    return 0, size


def _findings(
    tasks: Iterable[tuple[str, Callable[[], tuple[int, int]]]],
    workers: int,
    on_progress: Progress | None,
) -> Iterator[Finding]:
    """In the order of the tasks."""
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        futures = [(name, pool.submit(task)) for name, task in tasks]
        try:
            for name, future in futures:
                try:
                    raw, stored = future.result()
                except DAMAGE as error:
                    yield Finding(name, error)
                else:
                    if on_progress is not None:
                        on_progress(raw, stored)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
