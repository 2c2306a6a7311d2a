"""The scrub: every byte once in so many days, without a key, the least recently read first.

It is bounded to so many bytes a second, so that nobody waits for it, and it says so when that is
too little: a scrub that never comes round would be a promise that nobody keeps.
"""

import threading

import structlog

from strongroom.model.errors import StoreUnavailable, VaultError
from strongroom.model.seams import Clock
from strongroom.storage.blobs.store import BlobStore

_REST_SECONDS = 60.0  # when nothing is due
_BEHIND = 1.25  # times the days: then it says that it does not come round

_log = structlog.get_logger("strongroom.storage")


class Scrub:
    """A thread beside the endpoint, for as long as the store is open."""

    def __init__(
        self, store: BlobStore, clock: Clock, *, days: float, bytes_per_second: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._days = days
        self._rate = bytes_per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Give up the blob that is being read: it will be the first again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def look(self) -> bool:
        """Re-read the blob that is due the longest; False when none is.

        Raises StoreError when it cannot be read now, or the store is stopping.
        """
        now = self._clock.now()
        found = self._store.looking.scrub(1, now.subtract(seconds=self._days * 86_400), self._pace)
        late = now.subtract(seconds=self._days * 86_400 * _BEHIND)
        if found and self._store.looking.is_behind(late):
            _log.warning("scrub_behind", days=self._days, bytes_per_second=self._rate)
        return bool(found)

    def _pace(self, count: int) -> None:
        if self._stopping.wait(count / self._rate):
            raise StoreUnavailable("the store is stopping")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._store.locks.clock.note()
            if not self._attempt():
                self._stopping.wait(_REST_SECONDS)

    def _attempt(self) -> bool:
        try:
            return self.look()
        except VaultError as error:
            if not self._stopping.is_set():
                _log.warning("scrub_failed", reason=error.message)
        except Exception:  # noqa: BLE001 - a thread's top is a door: a bug must not end the scrub unseen
            _log.exception("bug", thread="scrub")
        return False
