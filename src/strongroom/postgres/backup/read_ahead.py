"""Pieces of a file in their order, several of them read at once."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice

PIECE = 4 << 20  # bytes: the checksums of so many pages are computed at once
Read = Callable[[int, int], bytes]  # (length, offset) -> exactly so many bytes


class ReadAhead:
    """Threads for one backup; `readers` pieces are held at once. Close it after the last file."""

    def __init__(self, readers: int) -> None:
        self._readers = readers
        self._pool = ThreadPoolExecutor(readers, "read") if readers > 1 else None

    def pieces(self, read: Read, size: int) -> Generator[bytes, None, None]:
        """A file of `size` bytes. No read is under way any more when the iterator is done with.

        Raises what `read` raises, at the piece where it did.
        """
        offsets = iter(range(0, size, PIECE))
        if self._pool is None or size <= PIECE:
            for offset in offsets:
                yield read(min(PIECE, size - offset), offset)
            return
        under_way: deque[Future[bytes]] = deque()
        try:
            for offset in islice(offsets, self._readers):
                under_way.append(self._pool.submit(read, min(PIECE, size - offset), offset))
            while under_way:
                data = under_way.popleft().result()
                for offset in islice(offsets, 1):
                    under_way.append(self._pool.submit(read, min(PIECE, size - offset), offset))
                yield data
        finally:
            for piece in under_way:
                piece.cancel()
            wait(under_way)

    def close(self) -> None:
        """No thread is left."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
