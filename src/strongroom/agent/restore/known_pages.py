"""What a point knows of its files' pages: the digests that lie in its packs."""

import mmap
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from strongroom.datastore.maps.extents import Extent
from strongroom.datastore.maps.manifest import Manifest, PackFacts
from strongroom.datastore.maps.page_digests import digests_by, read_digests
from strongroom.datastore.packs.pack import DIGEST
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.stored_pack import no_key_of
from strongroom.model.postgres import PAGE

_KEYS = 512  # that are made ready at once
_ZEROS = bytes(PAGE)
Differing = Callable[[Extent, int, memoryview], Iterable[int]]


class KnownPages:
    """The digests of all packs of a point. Safe for threads once it is `read`.

    They lie in a file without a name, for of a large server they would fill the memory.
    """

    def __init__(self, manifest: Manifest, blobs: Blobs, keys: Mapping[bytes, bytes]) -> None:
        self._manifest = manifest
        self._extents = manifest.all_extents()
        self._blobs = blobs
        self._keys = keys
        self._places: dict[int, tuple[int, int]] = {}  # pack -> (start, pages)
        self._digests = memoryview(b"")
        self._key = lru_cache(_KEYS)(lambda pack: digests_by(self._key_of(pack)))

    def read(self, workers: int, fetched: Callable[[int], None]) -> None:
        """Ask storage for them; `fetched` is told how many bytes came, and may raise to stop.

        Raises Corrupt, ObjectMissing, WrongKey, StoreUnavailable: of a pack that this restore may
        need, before anything was touched.
        """
        files = self._manifest.files
        needed = {row.pack for row in self._extents if files[row.file].kind != "wal"}
        lock = threading.Lock()
        with (
            tempfile.TemporaryFile() as file,
            ThreadPoolExecutor(workers, thread_name_prefix="digests") as pool,
        ):

            def read(pack: int) -> int:
                count, digests = self._read(self._manifest.packs[pack])
                with lock:
                    self._places[pack] = file.tell(), len(digests) // DIGEST
                    file.write(digests)
                return count

            try:
                for count in pool.map(read, sorted(needed)):
                    fetched(count)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
            if file.tell():
                file.flush()
                self._digests = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))

    def _read(self, facts: PackFacts) -> tuple[int, bytes]:
        count = 0

        def fetch(start: int, length: int) -> bytes:
            nonlocal count
            found = self._blobs.read_range(facts.name, start, length)
            count += len(found)
            return found

        return count, read_digests(fetch, facts, self._key_of_facts(facts))

    def _key_of(self, pack: int) -> bytes:
        return self._key_of_facts(self._manifest.packs[pack])

    def _key_of_facts(self, facts: PackFacts) -> bytes:
        if facts.id not in self._keys:
            raise no_key_of(facts)
        return self._keys[facts.id]

    def of_file(self, index: int) -> "FilePages":
        """What is known of one file; for one thread."""
        return FilePages(self._extents.of_file(index), self._differing)

    def _differing(self, extent: Extent, offset: int, pages: memoryview) -> Iterable[int]:
        """Which of these pages are not the point's: they lie at `offset`, all in the extent."""
        begin, known = self._places[extent.pack]
        raw, count = extent.raw + offset - extent.offset, -(-len(pages) // PAGE)
        first = raw // PAGE
        if raw % PAGE or first + count > known:  # nothing is known of them
            return range(count)
        noted = self._digests[begin + first * DIGEST :][: count * DIGEST]
        now = self._key(extent.pack)(first, pages)
        if noted == now:
            return ()
        pieces = range(0, len(now), DIGEST)
        return [at // DIGEST for at in pieces if noted[at : at + DIGEST] != now[at : at + DIGEST]]


class FilePages:
    """Held against what lies there, from the beginning of the file on."""

    def __init__(self, extents: list[Extent], differing: Differing) -> None:
        self._extents = extents
        self._differing = differing
        self._next = 0

    def differing(self, offset: int, data: memoryview) -> bytearray:
        """A byte a page, 1 where it may be another than the point's.

        `offset` is that of a page, and not before the one of the last call; only the last page of
        the file may be short. What no extent covers reads as zeros.
        """
        marks = bytearray(-(-len(data) // PAGE))
        position, end = offset, offset + len(data)
        for extent in self._within(offset, end):
            begin, stop = max(extent.offset, offset), min(extent.end, end)
            self._mark_zeros(marks, data, position - offset, begin - offset)
            position = stop
            first, last = (begin - offset) // PAGE, -(-(stop - offset) // PAGE)
            if begin % PAGE:  # no writer of ours lays it so: nothing can be said
                marks[first:last] = b"\1" * (last - first)
                continue
            for page in self._differing(extent, begin, data[begin - offset : stop - offset]):
                marks[first + page] = 1
        self._mark_zeros(marks, data, position - offset, end - offset)
        return marks

    def _within(self, start: int, end: int) -> Iterator[Extent]:
        extents, number = self._extents, self._next
        while number < len(extents) and extents[number].end <= start:
            number += 1
        self._next = number
        while number < len(extents) and extents[number].offset < end:
            yield extents[number]
            number += 1

    def _mark_zeros(self, marks: bytearray, data: memoryview, start: int, end: int) -> None:
        while start < end:
            stop = min(end, (start // PAGE + 1) * PAGE)
            if data[start:stop] != _ZEROS[: stop - start]:
                marks[start // PAGE] = 1
            start = stop
