"""Raw bytes in, frames of packs out: compressed and sealed by threads, so much at once.

Bytes that come in small pieces are gathered in buffers, which are used anew. What comes in large
ones is sealed where it lies: to copy it would cost half of what it costs to read it.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from strongroom.datastore.writing.filling import FillingPack, Sealed

# Batches that are gathered, wait or are sealed, for each thread: what bounds the memory. Each
# stream may hold one that is not full.
_AT_ONCE = 4
_PATIENCE = 0.2  # seconds between looks for a failure while something is waited for


class Sealer:
    """The threads of one writer. `check` raises what it has failed with, `fail` is told so."""

    def __init__(
        self,
        sizes: tuple[int, int],
        workers: int,
        level: int,
        *,
        check: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`sizes`: bytes of a frame, and of a batch, a multiple of it."""
        self.frame_size, self.batch_size = sizes
        self._level = level
        self._check = check
        self._fail = fail
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="seal")
        self._room = threading.BoundedSemaphore(_AT_ONCE * workers)
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()

    def take_buffer(self) -> bytearray:
        """Room for a batch, to be given to `seal`; waits until there is any."""
        self._take_room()
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return bytearray(self.batch_size)

    def seal(self, pack: FillingPack, buffer: bytearray, length: int) -> None:
        """The first bytes of a buffer that was taken."""
        self._submit(pack, memoryview(buffer)[:length], buffer)

    def seal_in_place(self, pack: FillingPack, raw: memoryview) -> None:
        """Bytes that nobody changes any more, at most a batch; waits until there is room."""
        self._take_room()
        self._submit(pack, raw, None)

    def close(self) -> None:
        """No thread is left. Safe twice."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _take_room(self) -> None:
        self._check()
        while not self._room.acquire(timeout=_PATIENCE):
            self._check()

    def _submit(self, pack: FillingPack, raw: memoryview, buffer: bytearray | None) -> None:
        self._check()
        first = pack.take_numbers(len(raw))
        pack.batches.append(self._workers.submit(self._sealed, pack, first, raw, buffer))

    def _sealed(
        self, pack: FillingPack, first: int, raw: memoryview, buffer: bytearray | None
    ) -> Sealed:
        try:
            self._check()
            return pack.sealed(first, raw, self._level)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            if buffer is not None:
                self._free.put(buffer)
            self._room.release()
