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

from strongroom.datastore.maps.extents import Extent
from strongroom.datastore.maps.manifest import Manifest, PackFacts
from strongroom.datastore.packs.pack import PackReader
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.stored_pack import StoredPack
from strongroom.datastore.reading.wanted import STRETCH
from strongroom.datastore.statements.receipt import Receipt
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing, VaultError, WrongKey

DAMAGE = (Corrupt, ObjectMissing, WrongKey, Invalid)
Progress = Callable[[int, int], None]
# Of one pack: (where in its raw stream, bytes), in order, as far as they are whole.
Take = Callable[[int, memoryview], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object; of a pack, which stretches of its raw stream are lost."""

    name: str
    error: VaultError
    lost: tuple[tuple[int, int], ...] = ((0, 1 << 62),)  # (start, end); all of it


@dataclass(frozen=True, slots=True)
class _Read:
    raw: int
    stored: int
    finding: Finding | None = None


def _take_nothing(pack: int) -> Take:
    del pack
    return lambda *_: None


def verify_packs(
    manifest: Manifest,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    *,
    open_pack: Callable[[int], Take] = _take_nothing,
    workers: int = 2,
    on_progress: Progress | None = None,
) -> list[Finding]:
    """Fetch every pack whole: size, BLAKE3, each frame, and that every extent lies in its pack.

    `content_keys`: pack id (16 bytes) -> key. What is whole of pack number `n` is given to
    `open_pack(n)`, a few megabytes at a time, in a thread of its own for each pack; `data` is good
    during the call only. `on_progress(raw bytes, stored bytes)` after each pack, in the caller's
    thread. What the two raise goes through.
    """
    ends: dict[int, int] = {}
    for extent in manifest.all_extents():
        ends[extent.pack] = max(ends.get(extent.pack, 0), extent.raw + extent.length)
    tasks = [
        (pack.name, partial(_verify_pack, blobs, content_keys, pack, ends.get(n, 0), open_pack, n))
        for n, pack in enumerate(manifest.packs)
    ]
    return list(_findings(tasks, workers, on_progress))


def _verify_pack(
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    facts: PackFacts,
    end: int,
    open_pack: Callable[[int], Take],
    number: int,
) -> _Read:
    stored = StoredPack(blobs, facts)
    stored.load_all()
    wrong = stored.wrong()
    try:
        if facts.id not in content_keys:
            raise WrongKey(
                f"pack {facts.pack_id} cannot be opened: its header names no key of ours"
            )
        pack = PackReader(stored.fetch, facts.size, facts.pack_id, content_keys[facts.id])
        if end > pack.table.raw_size:
            raise Corrupt(f"an extent reaches beyond pack {facts.pack_id}")
    except DAMAGE as error:
        raise wrong or error from error
    lost, broken = _take_all(pack, open_pack(number))
    found = wrong or broken
    finding = None if found is None else Finding(facts.name, found, tuple(lost))
    return _Read(pack.table.raw_size, facts.size, finding)


def _take_all(pack: PackReader, take: Take) -> tuple[list[tuple[int, int]], VaultError | None]:
    """Every frame that can be opened, joined to stretches; those that cannot, and why not."""
    size = pack.table.frame_size
    lost: list[tuple[int, int]] = []
    broken: VaultError | None = None
    whole: list[bytes] = []
    held = start = 0
    for number, length in enumerate(pack.table.raw_lengths):
        try:
            (frame,) = pack.frames(number, number)
        except DAMAGE as error:
            broken = broken or error
            lost.append((number * size, number * size + length))
            frame = b""
        if whole and (not frame or held + len(frame) > STRETCH):
            take(start, memoryview(b"".join(whole)))
            whole, held = [], 0
        if frame:
            start = start if whole else number * size
            whole.append(frame)
            held += len(frame)
    if whole:
        take(start, memoryview(b"".join(whole)))
    return lost, broken


def lost_places(manifest: Manifest, findings: Iterable[Finding]) -> Iterator[Extent]:
    """What of which files the damage of packs has taken, in the order of the files."""
    lost = {finding.name: finding.lost for finding in findings}
    by_pack = {n: lost[p.name] for n, p in enumerate(manifest.packs) if p.name in lost}
    for extent in manifest.all_extents() if by_pack else ():
        for start, end in by_pack.get(extent.pack, ()):
            begin, stop = max(start, extent.raw), min(end, extent.raw + extent.length)
            if begin < stop:
                offset = extent.offset + begin - extent.raw
                yield Extent(extent.file, offset, stop - begin, extent.pack, begin)


def verify_manifest(manifest: Manifest, receipt: Receipt) -> None:
    """The map is the one that the receipt speaks of; Corrupt otherwise."""
    if manifest.facts.recovery_point_id != receipt.recovery_point_id:
        raise Corrupt("the manifest is of another recovery point than its receipt")
    told = {(pack.name, pack.size, pack.blake3) for pack in receipt.packs}
    if told != {(pack.name, pack.size, pack.blake3) for pack in manifest.objects}:
        raise Corrupt("the manifest and its receipt do not name the same packs")


def scrub(receipt: Receipt, blobs: Blobs, *, workers: int = 2) -> list[Finding]:
    """Without a key: size and BLAKE3 of manifest and packs are those that the receipt states."""
    manifest = f"p/{receipt.recovery_point_id}.manifest"
    wanted = [(manifest, receipt.manifest_size, receipt.manifest_blake3)]
    wanted += [(pack.name, pack.size, pack.blake3) for pack in receipt.packs]
    tasks = [(name, partial(_scrub, blobs, name, size, digest)) for name, size, digest in wanted]
    return list(_findings(tasks, workers, None))


def _scrub(blobs: Blobs, name: str, size: int, digest: bytes) -> _Read:
    stored = blobs.read_range(name, 0, size + 1)
    if len(stored) != size or blake3(stored).digest() != digest:
        raise Corrupt(f"{name} is not what was written")
    return _Read(0, size)


def _findings(
    tasks: Iterable[tuple[str, Callable[[], _Read]]],
    workers: int,
    on_progress: Progress | None,
) -> Iterator[Finding]:
    """In the order of the tasks."""
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        futures = [(name, pool.submit(task)) for name, task in tasks]
        try:
            for name, future in futures:
                try:
                    read = future.result()
                except DAMAGE as error:
                    yield Finding(name, error)
                    continue
                if read.finding is not None:
                    yield read.finding
                if on_progress is not None:
                    on_progress(read.raw, read.stored)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
