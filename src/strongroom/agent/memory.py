"""How much memory the operations that run side by side may take: one budget, shared.

The sum is what counts: an agent shares its host with a database. The first operation takes what
makes it fastest; whoever begins while that runs takes the lesser share, for as long as it lasts.
"""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from strongroom.datastore.places.throttle import Pace, at_once
from strongroom.datastore.writing.writer import PACK_RAW


@dataclass(frozen=True, slots=True)
class Share:
    """What one operation holds at once: `pack_raw_size` bytes a pack, and so many workers.

    `lanes`: databases dumped, or files read, side by side. `pace`: told how many bytes are to be
    sent, the seconds to wait before.
    """

    pack_raw_size: int
    workers: int
    lanes: int = 1
    pace: Pace = at_once


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; malloc_trim(3)
WHOLE = Share(pack_raw_size=PACK_RAW, workers=2, lanes=2)
LESSER = Share(pack_raw_size=4 << 20, workers=1)


class Memory:
    """The budget of one process. Safe for threads."""

    def __init__(self) -> None:
        self._whole = threading.Lock()
        self._was_used = threading.Event()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """The share of an operation that runs within. Nobody waits for one."""
        whole = self._whole.acquire(blocking=False)
        try:
            yield WHOLE if whole else LESSER
        finally:
            self._was_used.set()
            if whole:
                self._whole.release()

    def let_go(self) -> None:
        """What ended operations held goes back to the system. Cheap when there were none.

        Buffers of megabytes hang in circles of objects, which Python looks for by their count:
        twenty small backups had left 90 MiB behind. What is free then is each thread's arena's,
        which keeps it. Nothing else runs meanwhile, so whoever waits for the end is told before.
        """
        if not self._was_used.is_set():
            return
        self._was_used.clear()
        gc.collect()
        if _trim is not None:
            _trim(0)
