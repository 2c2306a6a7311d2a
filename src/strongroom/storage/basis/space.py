"""Room on the disk: what uploads may take, and the reserve that they may not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.model.errors import StoreFull
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.incoming import disk_errors


class Space:
    """Uploads under way claim their whole length before the first byte arrives."""

    def __init__(self, disk: Disk, root: Path, reserve_bytes: int) -> None:
        self.reserve_bytes = reserve_bytes
        self._disk = disk
        self._root = root
        self._claimed = 0
        self._lock = threading.Lock()

    def free(self) -> int:
        """Bytes on the disk, the reserve included."""
        with disk_errors():
            return self._disk.free(self._root)

    @contextmanager
    def claim(self, size: int) -> Iterator[None]:
        """Hold room for `size` bytes, or raise StoreFull."""
        free = self.free()
        with self._lock:
            if free - self._claimed - size < self.reserve_bytes:
                raise StoreFull(
                    "the store has no room left for this upload",
                    hint="Free space, or give the store a larger disk.",
                    facts={"freeBytes": free, "reserveBytes": self.reserve_bytes},
                )
            self._claimed += size
        try:
            yield
        finally:
            with self._lock:
                self._claimed -= size
