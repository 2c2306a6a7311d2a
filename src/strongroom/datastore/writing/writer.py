"""Bytes of files in, packs in storage out: compressed, sealed and sent while they arrive.

A `RawStream` fills one pack after the other; several streams share the threads that seal
(sealer.py) and those that send. How much is on its way at once is bounded, whatever the size of
the server.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from blake3 import blake3

from strongroom.datastore.maps.extents import Extent, columns_of
from strongroom.datastore.maps.manifest import FileFacts, PackFacts, Written, pack_name
from strongroom.datastore.packs.pack import FRAME, PACK, PackKey
from strongroom.datastore.packs.seal import PublicKey
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.places.throttle import Pace, at_once
from strongroom.datastore.writing.filling import FillingPack
from strongroom.datastore.writing.sealer import Sealer
from strongroom.model.errors import (
    Cancelled,
    Corrupt,
    Invalid,
    ObjectExists,
    SourceUnsupported,
)
from strongroom.model.ids import PackId, uuid7
from strongroom.model.postgres import PAGE
from strongroom.model.runs import runs
from strongroom.model.seams import Chance, Clock

BATCH = 2 << 20  # raw bytes that a worker turns into frames at once
PACK_RAW = 64 << 20
_STORED_ENOUGH = 8 << 20  # stored bytes after which a pack that shrinks little is closed
_PACKS_IN_FLIGHT = 2
_LARGE = 4  # frames that come at once, from which on they are sealed where they lie
_PATIENCE = 0.2  # seconds between looks for a failure while something is waited for
_ZEROS = bytes(PAGE)


class DatastoreWriter:
    """Writes one generation of packs. Not to be used after `finish` or `abort`."""

    def __init__(  # noqa: PLR0913 - a setting each, by name
        self,
        blobs: Blobs,
        generation: str,
        data_key: PublicKey,
        clock: Clock,
        chance: Chance,
        *,
        workers: int = 2,
        level: int = 1,
        pack_raw_size: int = PACK_RAW,
        frame_size: int = FRAME,
        pace: Pace = at_once,
    ) -> None:
        """`pack_raw_size` and `frame_size` are multiples of PostgreSQL's page (8192)."""
        self._pace = pace
        self._blobs = blobs
        self._generation = generation
        self._data_key = data_key
        self._clock = clock
        self._chance = chance
        self.pack_raw_size = pack_raw_size
        batch_size = max(frame_size, min(BATCH, pack_raw_size) // frame_size * frame_size)
        sizes = frame_size, batch_size
        self.sealer = Sealer(sizes, workers, level, check=self.check, fail=self._fail)
        self._senders = ThreadPoolExecutor(_PACKS_IN_FLIGHT, thread_name_prefix="send")
        self._in_flight = threading.BoundedSemaphore(_PACKS_IN_FLIGHT)
        self._lock = threading.Lock()
        self._files: list[FileFacts] = []
        self._kept: dict[int, int] = {}
        self._extents: list[Extent] = []
        self._packs: dict[int, PackFacts] = {}
        self._pack_count = 0
        self._sent: list[Future[None]] = []
        self._failure: BaseException | None = None
        self.raw_bytes = 0
        self.stored_bytes = 0
        self.paced_seconds = 0.0  # that packs have waited for their turn, all senders together
        self.sending_seconds = 0.0  # that storage has taken them in

    def write_to(self, blobs: Blobs, generation: str) -> None:
        """Packs go there instead; before the first byte is written."""
        if self._pack_count:
            raise Invalid("packs have been written to another generation already")
        self._blobs, self._generation = blobs, generation

    def stream(self, *, digests: bool = False) -> "RawStream":
        """A new stream with packs of its own; one thread uses it.

        `digests`: of every page, for a restore over what lies there already.
        """
        return RawStream(self, digests=digests)

    def finish(self) -> Written:
        """Wait for every pack; raises what any of them failed with. Streams are closed before."""
        try:
            waiting = set(self._sent)
            while waiting:
                self.check()
                _, waiting = wait(waiting, timeout=_PATIENCE, return_when=FIRST_EXCEPTION)
            self.check()
        finally:
            self.sealer.close()
            self._senders.shutdown(wait=True, cancel_futures=True)
        if len(self._packs) != self._pack_count:
            raise Invalid("a stream of this writer was not closed")
        return Written(
            files=self._files,
            extents=columns_of(self._extents),
            packs=[self._packs[index] for index in range(self._pack_count)],
            kept=self._kept,
            raw_bytes=self.raw_bytes,
        )

    def abort(self) -> None:
        """Stop; what was sent is garbage. Leaves no thread behind. Safe twice."""
        self._fail(Cancelled("the writing was given up"))
        self.sealer.close()
        self._senders.shutdown(wait=True, cancel_futures=True)

    def abort_soon(self) -> None:
        """Whoever writes next is told to stop; from any thread."""
        self._fail(Cancelled("the writing was given up"))

    def check(self) -> None:
        """Raise what a worker or sender has failed with."""
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def add_file(self, facts: FileFacts, kept: int | None) -> int:
        """The next file; its index is what extents name."""
        with self._lock:
            index = len(self._files)
            self._files.append(facts)
            if kept is not None:
                self._kept[index] = kept
            return index

    def add_extents(self, extents: list[Extent], raw_bytes: int) -> None:
        """Where the bytes of a file went."""
        with self._lock:
            self._extents += extents
            self.raw_bytes += raw_bytes

    def open_pack(self, *, digests: bool) -> FillingPack:
        """A new pack, when there is room for one more in flight."""
        self.check()
        pack_id = PackId(uuid7(self._clock.now(), self._chance))
        with self._lock:
            index = self._pack_count
            self._pack_count += 1
        key = PackKey(PACK, pack_id, self._data_key, self._chance)
        return FillingPack(index, key, self.sealer.frame_size, digests=digests)

    def sent(self, packs: Iterable[int]) -> dict[int, PackFacts]:
        """Those of these packs that are in storage, by index."""
        with self._lock:
            return {pack: self._packs[pack] for pack in packs if pack in self._packs}

    def ended(self, seen: int) -> tuple[list[Extent], dict[int, tuple[FileFacts, int | None]]]:
        """Extents after the first `seen`; by index the files that they are of, which have ended,
        with what they keep.
        """
        with self._lock:
            rows = self._extents[seen:]
            indexes = {row.file for row in rows}
            return rows, {n: (self._files[n], self._kept.get(n)) for n in indexes}

    def send(self, pack: FillingPack) -> None:
        """The pack is full: send it as soon as its frames are sealed."""
        while not self._in_flight.acquire(timeout=_PATIENCE):
            self.check()
        self._sent.append(self._senders.submit(self._guard, lambda: self._put(pack)))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._in_flight.release()

    def _put(self, pack: FillingPack) -> None:
        stored = pack.stored()
        begun = self._clock.monotonic()
        self._wait(self._pace(len(stored)))
        turn = self._clock.monotonic()
        pack_id = pack.key.pack_id.bytes
        # It exists under our own fresh id: an earlier try arrived and its answer was lost. The
        # commit has the endpoint re-read size and digest, so nothing is believed here.
        with contextlib.suppress(ObjectExists):
            self._blobs.create(pack_name(self._generation, pack_id), stored)
        facts = PackFacts(
            id=pack_id,
            generation=self._generation,
            size=len(stored),
            blake3=blake3(stored).digest(),
            raw_size=pack.raw_size,
        )
        with self._lock:
            self._packs[pack.index] = facts
            self.stored_bytes += len(stored)
            self.paced_seconds += turn - begun
            self.sending_seconds += self._clock.monotonic() - turn

    def _wait(self, seconds: float) -> None:
        """Until it is this pack's turn; leaves at once with what the writing has failed with."""
        until = self._clock.monotonic() + seconds
        self.check()
        while (left := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _PATIENCE))
            self.check()


class RawStream:
    """Files laid end to end, each beginning at a multiple of 8 KiB, cut into packs."""

    def __init__(self, writer: DatastoreWriter, *, digests: bool = False) -> None:
        self._writer = writer
        self._digests = digests
        self._pack: FillingPack | None = None
        self._buffer: bytearray | None = None
        self._room = memoryview(b"")  # over the buffer: a bytearray copies what it is given twice
        self._used = 0  # bytes of the buffer
        self._file = -1
        self._facts: FileFacts | None = None
        self._whole = True
        self._kept: int | None = None
        self._offset = 0
        self._written = 0  # bytes of this file
        self._extents: list[Extent] = []

    def begin_file(self, facts: FileFacts, *, kept: int | None = None) -> None:
        """The next file, directory or link.

        `kept`: the file is written in part, and so many bytes at its beginning stay the parent's
        where nothing is written (delta.py); None: all of it comes.
        """
        _check_text(facts)
        self._file = self._writer.add_file(facts, kept)
        self._facts = facts
        self._whole, self._kept = kept is None, kept
        self._offset = self._written = 0
        self._extents = []

    def seek(self, offset: int) -> None:
        """The bytes that come now belong there; forward only, in a file that comes in part."""
        if self._whole or offset < self._offset:
            raise Invalid(f"byte {offset} of a file is no place to go on at")
        self._offset = offset

    def write(self, data: bytes | memoryview) -> None:
        """Bytes of the file that begun last, in messages of any size.

        They are the writer's from now on: nobody may change them.
        """
        view = memoryview(data)
        while view:
            place, count = self._take(view)
            self._note(*place, count)
            view = view[count:]

    def write_pages(self, blocks: Sequence[int], pages: memoryview) -> None:
        """Whole pages of a file that comes in part, each at its number; forward only."""
        self.seek(blocks[0] * PAGE)
        done = 0
        while done < len(blocks):
            (pack, raw), count = self._take(pages[done * PAGE :])
            for first, length in runs(blocks[done : done + count // PAGE]):
                self._offset = first * PAGE
                self._note(pack, raw, length * PAGE)
                raw += length * PAGE
            done += count // PAGE

    def end_file(self) -> None:
        """All its bytes have come: exactly as many as it said."""
        facts = self._facts
        fits = facts is not None and (
            self._offset == facts.size if self._whole else self._offset <= facts.size
        )
        if not fits:
            name = facts.path if facts else "a file"
            raise Corrupt(f"{name} has {self._offset} bytes where the server said otherwise")
        padding = -self._written % PAGE
        self._writer.add_extents(self._extents, self._written)
        while padding:
            padding -= self._take(memoryview(_ZEROS)[:padding])[1]
        self._facts = None

    def under_way(self) -> tuple[FileFacts | None, int | None, list[Extent], int]:
        """(file, kept, extents so far, where it goes on); no file between two."""
        return self._facts, self._kept, self._extents, self._offset

    def _take(self, view: memoryview) -> tuple[tuple[int, int], int]:
        """Some of it, copied or sealed where it lies -> where it went, (pack, raw), how much."""
        if self._pack is None:
            self._pack = self._writer.open_pack(digests=self._digests)
        pack, sealer = self._pack, self._writer.sealer
        place = pack.index, pack.raw_size
        room = self._writer.pack_raw_size - pack.raw_size
        to_border = -pack.raw_size % sealer.frame_size
        if len(view) < to_border + _LARGE * sealer.frame_size:
            count = self._copy(view[:room])
        elif to_border:
            count = self._copy(view[: min(room, to_border)])
        else:
            self._flush()
            whole = len(view) // sealer.frame_size * sealer.frame_size
            count = min(whole, sealer.batch_size, room)
            sealer.seal_in_place(pack, view[:count])
        pack.raw_size += count
        full = pack.raw_size == self._writer.pack_raw_size
        if full or self._used == sealer.batch_size:
            self._flush()
        if full or (self._buffer is None and pack.stored_size >= _STORED_ENOUGH):
            self._writer.send(pack)
            self._pack = None
        return place, count

    def _copy(self, view: memoryview) -> int:
        """What fits into the buffer -> how much."""
        if self._buffer is None:
            self._buffer = self._writer.sealer.take_buffer()
            self._room = memoryview(self._buffer)
        count = min(self._writer.sealer.batch_size - self._used, len(view))
        self._room[self._used : self._used + count] = view[:count]
        self._used += count
        return count

    def _note(self, pack: int, raw: int, count: int) -> None:
        last = self._extents[-1] if self._extents else None
        if last is not None and last.pack == pack and last.end == self._offset:
            joined = last.offset, last.length + count, pack, last.raw
            self._extents[-1] = Extent(self._file, *joined)
        else:
            self._extents.append(Extent(self._file, self._offset, count, pack, raw))
        self._offset += count
        self._written += count

    def _flush(self) -> None:
        if self._buffer is not None and self._pack is not None:
            self._writer.sealer.seal(self._pack, self._buffer, self._used)
            self._buffer, self._used = None, 0

    def close(self) -> None:
        """The last pack goes, however full."""
        if self._pack is not None:
            self._flush()
            self._writer.send(self._pack)
            self._pack = None


def _check_text(facts: FileFacts) -> None:
    """Names travel as UTF-8; one that is none is refused here, by name, not in the manifest."""
    try:
        f"{facts.path}\0{facts.link}".encode()
    except UnicodeEncodeError as error:
        raise SourceUnsupported(
            f"a file's name is not UTF-8: {facts.path!r}",
            hint="PostgreSQL made no such file: rename it, or move it out of the data directory",
        ) from error
