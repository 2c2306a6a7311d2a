"""Read files out of packs, pack by pack: each is fetched once, each byte is checked.

Pack-major: of each pack just the frames that are needed are fetched, in one request where they lie
close, and the whole object (its BLAKE3 compared) where most of it is needed. Frames are opened a
few megabytes at a time, so memory is bounded by one stored pack and one stretch for each worker.
Files that lie in many small pieces are read in their own order instead (scattered.py).
"""

import mmap
import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import numpy as np

from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import Manifest, PackFacts
from strongroom.datastore.packs.pack import MOST_RAW, PackReader
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.scattered import SideBySide, lanes_of, stretches
from strongroom.datastore.reading.stored_pack import StoredPack, no_key_of
from strongroom.datastore.reading.wanted import STRETCH, Wanted
from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE, fills_every_page

Write = Callable[[int, int, memoryview], None]
Hole = Callable[[int, int, int], None]
_Task = TypeVar("_Task")
_GAP = 1 << 20  # stored bytes that are cheaper fetched than asked around
_ZEROS = memoryview(bytes(PAGE))
_thread = threading.local()


def read_files(  # noqa: PLR0913 - what, from where, with which keys, to where
    manifest: Manifest,
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    write: Write,
    *,
    hole: Hole | None = None,
    select: Collection[int] | None = None,
    extents: Extents | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Give every byte of the files (by index; all when None) to `write(file, offset, data)`.

    `write` is called from several threads, once for each byte that an extent covers, in no order;
    `data` is good during the call only. With `hole(file, offset, length)` whole pages of zeros go
    there instead. `extents`: just these, in place of all that the manifest has (cut, perhaps, but
    sorted as they are). `content_keys`: pack id (16 bytes) -> key. `on_progress(raw bytes, fetched
    bytes)` after each pack, in the caller's thread. Returns the bytes fetched. Corrupt,
    ObjectMissing and WrongKey name the pack; what `write` raises goes through. No thread is left.
    """
    extents = manifest.all_extents() if extents is None else extents
    lanes = lanes_of(extents, select)
    rows = rows_by_pack(extents, select, but=lanes)
    put = write if hole is None else partial(_write_around_zeros, write, hole)
    fetched = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        tasks: set[Future[tuple[int, int]]] = set()
        for lane in _far_apart(lanes, workers):
            opened = partial(SideBySide, blobs, content_keys, manifest.packs, extents, lane)
            tasks.add(pool.submit(_read_lane, opened, put, extents, lane))
        for index in _far_apart(sorted(rows), workers):
            read = partial(_read_pack, blobs, content_keys, put, manifest.packs[index])
            tasks.add(pool.submit(read, extents, rows[index]))
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


def rows_by_pack(
    extents: Extents, select: Collection[int] | None = None, *, but: Sequence[range] = ()
) -> dict[int, "array[int]"]:
    """Numbers of the extents wanted, by pack: a few bytes each, whatever their count."""
    file, _, _, pack, _ = extents.columns()
    wanted = np.ones(len(pack), bool) if select is None else np.isin(file, [*select])
    for rows in but:
        wanted[rows.start : rows.stop] = False
    found = np.flatnonzero(wanted).astype(np.uint32)
    found = found[np.argsort(pack[found], kind="stable")]
    packs, starts = np.unique(pack[found], return_index=True)
    parts = np.split(found, starts[1:])
    return {int(key): array("I", part.tobytes()) for key, part in zip(packs, parts, strict=False)}


def _far_apart(tasks: Sequence[_Task], workers: int) -> list[_Task]:
    """An order in which workers, each taking the next, are in different files most of the time.

    Packs that follow each other hold parts of one file, and a file system lets one at a time write
    to a file.
    """
    lane = max(1, -(-len(tasks) // workers))
    return [task for first in range(lane) for task in tasks[first::lane]]


def _read_lane(
    opened: Callable[[], SideBySide], write: Write, extents: Extents, rows: range
) -> tuple[int, int]:
    """`opened`: its packs, which are let go with it."""
    packs = opened()
    file = extents[rows.start].file
    room = _room(STRETCH)
    raw = 0
    for offset, pieces in stretches(extents, rows):
        end = 0
        for count, pack, start in pieces:
            packs.read(pack, start, room[end : end + count])
            end += count
        write(file, offset, room[:end])
        raw += end
    return raw, packs.fetched


def _read_pack(
    blobs: Blobs,
    content_keys: Mapping[bytes, bytes],
    write: Write,
    facts: PackFacts,
    extents: Extents,
    rows: "array[int]",
) -> tuple[int, int]:
    key = content_keys.get(facts.id)
    if key is None:
        raise no_key_of(facts)
    wanted = Wanted(extents[row] for row in rows)
    stored = StoredPack(blobs, facts)
    whole = facts.size <= _GAP or 2 * wanted.raw_bytes >= (facts.raw_size or MOST_RAW)
    if whole:
        stored.load_whole()
    pack = PackReader(stored.fetch, facts.size, facts.pack_id, key)
    if wanted.end > pack.table.raw_size:
        raise Corrupt(f"an extent reaches beyond pack {facts.pack_id}")
    room = _room(max(STRETCH, pack.table.frame_size))
    for run in _runs(pack, wanted):
        if not whole:
            stored.load(*pack.place(run[0][0], run[-1][1]))
        for first, last in run:
            base, raw = first * pack.table.frame_size, pack.frames_into(room, first, last)
            for file, offset, start, end in wanted.pieces(base, base + len(raw)):
                write(file, offset, raw[start - base : end - base])
    return wanted.raw_bytes, stored.fetched


def _room(size: int) -> memoryview:
    """Memory of this thread, whole pages, used again: the kernel would clear new memory first."""
    room: memoryview | None = getattr(_thread, "room", None)
    if room is None or len(room) < size:
        room = _thread.room = memoryview(mmap.mmap(-1, size))
    return room


def _runs(pack: PackReader, wanted: Wanted) -> Iterator[list[tuple[int, int]]]:
    """Stretches of frames, those together that are cheaper fetched in one request."""
    run: list[tuple[int, int]] = []
    offsets = pack.table.offsets
    for first, last in wanted.stretches(pack.table.frame_size):
        if run and offsets[first] - offsets[run[-1][1] + 1] > _GAP:
            yield run
            run = []
        run.append((first, last))
    if run:
        yield run


def _write_around_zeros(
    write: Write, hole: Hole, file: int, offset: int, data: memoryview
) -> None:
    """Whole pages of zeros to `hole`, what lies between them to `write`, as long as they come."""
    if fills_every_page(data):
        write(file, offset, data)
        return
    start, zero = 0, _is_zero(data[:PAGE])
    for position in range(PAGE, len(data) + PAGE, PAGE):
        next_zero = _is_zero(data[position : position + PAGE])
        if position < len(data) and next_zero == zero:
            continue
        stop = min(position, len(data))
        if zero:
            hole(file, offset + start, stop - start)
        else:
            write(file, offset + start, data[start:stop])
        start, zero = stop, next_zero


def _is_zero(page: memoryview) -> bool:
    return page == _ZEROS[: len(page)]
