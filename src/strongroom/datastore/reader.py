"""Read files out of packs, pack by pack: each is fetched once, each byte is checked.

Pack-major: extents are sorted by (pack, raw offset); of a pack just the frames that are needed are
fetched, in one run where they lie close. Several packs are read side by side.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import groupby

from strongroom.datastore.blobs import Blobs
from strongroom.datastore.manifest import Extent, Manifest, PackFacts
from strongroom.datastore.pack import HEADER_SIZE, PACK, TRAILER_SIZE, OpenPack, Table, read_header
from strongroom.model.errors import Corrupt, WrongKey

Write = Callable[[int, int, memoryview], None]
_GAP = 1 << 20  # stored bytes that are cheaper fetched than asked around


def read_files(  # noqa: PLR0913 - what, from where, with which keys, to where
    manifest: Manifest,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    write: Write,
    *,
    select: Collection[int] | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Give every byte of the files (by index; all when None) to `write(file, offset, data)`.

    `content_keys`: pack id (16 bytes) -> key. `on_progress(raw bytes, fetched bytes)` after each
    pack. Returns the bytes fetched. Corrupt and ObjectMissing name the pack.
    """
    wanted = [e for e in manifest.all_extents() if select is None or e.file in select]
    wanted.sort(key=lambda e: (e.pack, e.raw))
    groups = [(index, list(group)) for index, group in groupby(wanted, key=lambda e: e.pack)]
    fetched = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        tasks = {
            pool.submit(_read_pack, manifest.packs[index], blobs, content_keys, write, extents)
            for index, extents in groups
        }
        try:
            while tasks:
                done, tasks = wait(tasks, return_when=FIRST_EXCEPTION, timeout=0.2)
                for task in done:
                    raw, stored = task.result()
                    fetched += stored
                    if on_progress is not None:
                        on_progress(raw, stored)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return fetched


def _read_pack(
    facts: PackFacts,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    write: Write,
    extents: Sequence[Extent],
) -> tuple[int, int]:
    key = content_keys.get(facts.id)
    if key is None:
        raise WrongKey(f"no key was given for pack {facts.pack_id}")
    opened = OpenPack(facts.pack_id, key)
    table, fetched = _table(facts, blobs, opened)
    raw_bytes = 0
    for first, last, group in _runs(table, extents):
        start, end = table.offsets[first], table.offsets[last + 1]
        stored = memoryview(blobs.read_range(facts.name, start, end - start))
        fetched += len(stored)
        if len(stored) != end - start:
            raise Corrupt(f"pack {facts.pack_id} is cut off")
        raw = b"".join(
            opened.frame(
                number,
                stored[table.offsets[number] - start : table.offsets[number + 1] - start],
                table.raw_lengths[number],
            )
            for number in range(first, last + 1)
        )
        base = first * table.frame_size
        view = memoryview(raw)
        for extent in group:
            piece = view[extent.raw - base : extent.raw - base + extent.length]
            if len(piece) != extent.length:
                raise Corrupt(f"an extent reaches beyond pack {facts.pack_id}")
            write(extent.file, extent.offset, piece)
            raw_bytes += extent.length
    return raw_bytes, fetched


def _table(facts: PackFacts, blobs: Blobs, opened: OpenPack) -> tuple[Table, int]:
    header = read_header(blobs.read_range(facts.name, 0, HEADER_SIZE), PACK)
    if header.pack_id != facts.pack_id:
        raise Corrupt(f"under the name of pack {facts.pack_id} lies another pack")
    guess = min(facts.size, 4 + 8 * 300 + 16 + TRAILER_SIZE)
    ending = blobs.read_range(facts.name, facts.size - guess, guess)
    if len(ending) != guess:
        raise Corrupt(f"pack {facts.pack_id} is cut off")
    length = int.from_bytes(ending[-TRAILER_SIZE : -TRAILER_SIZE + 4], "big") + TRAILER_SIZE
    if length > guess:
        if length > facts.size:
            raise Corrupt(f"the trailer of pack {facts.pack_id} is damaged")
        ending = blobs.read_range(facts.name, facts.size - length, length)
    return opened.table(ending, facts.size), HEADER_SIZE + len(ending)


def _runs(table: Table, extents: Sequence[Extent]) -> Iterator[tuple[int, int, list[Extent]]]:
    """Runs of frames to fetch at once: (first frame, last frame, the extents inside)."""
    size = table.frame_size
    run: list[Extent] = []
    first = last = -1
    for extent in extents:
        if extent.length == 0:
            continue
        begin, end = extent.raw // size, (extent.raw + extent.length - 1) // size
        if end >= len(table.raw_lengths):
            raise Corrupt("an extent reaches beyond its pack")
        if run and table.offsets[begin] - table.offsets[last + 1] > _GAP:
            yield first, last, run
            run = []
        if not run:
            first, last = begin, end
        run.append(extent)
        last = max(last, end)
    if run:
        yield first, last, run
