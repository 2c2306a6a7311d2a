"""What a provider did not do when it was asked is done later: by a thread, until it is done.

Blobs that are committed and still lie in `incoming/` are put; condemned ones are removed; locks
that were extended are extended there. `back-end.json` in the root says how far it is, for
`strongroom doctor` on this host.
"""

import threading
from typing import Any

import msgspec
import structlog
from whenever import Instant

from strongroom.model.errors import Invalid, VaultError
from strongroom.model.seams import Clock
from strongroom.storage.basis.layout import write_whole
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore

_log = structlog.get_logger("strongroom.storage")


class Upkeep:
    """A thread beside the endpoint of a store in a bucket, for as long as the store is open."""

    def __init__(self, store: BlobStore, settings: StoreSettings, clock: Clock) -> None:
        if settings.back_end is None:
            raise Invalid("this store has no back end to keep up")
        self._store = store
        self._file = settings.back_end_file
        self._clock = clock
        self._behind_since: Instant | None = None
        self._native = store.native  # None: the provider keeps nothing by itself
        self._woken = threading.Event() if store.native is None else store.native.woken
        self._settings = settings.back_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """What is not done is done after the next start."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def told(self) -> dict[str, Any]:
        """What the provider is still to do, and since when it has not done what it was asked."""
        puts, deletions = self._store.unfinished()
        return {
            "kind": self._settings.kind,
            "nativeLocks": self._native is not None,
            "locksWaiting": 0 if self._native is None else self._native.waiting(),
            "putsWaiting": puts,
            "deletionsWaiting": deletions,
            "behindSince": self._behind_since and self._behind_since.format_iso(),
        }

    def look(self) -> None:
        """Once through all of it, and say how far it came."""
        self._store.finish(self._stopping)
        if self._native is not None:
            self._native.follow(self._stopping)
        told = self.told()
        behind = told["locksWaiting"] or told["putsWaiting"] or told["deletionsWaiting"]
        self._behind_since = (self._behind_since or self._clock.now()) if behind else None
        write_whole(self._file, msgspec.json.encode(self.told()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self.look()
            except VaultError as error:
                _log.warning("upkeep_broken_off", reason=error.message)
            except Exception:  # noqa: BLE001 - a thread's top is a door: a bug must not end it unseen
                _log.exception("bug", thread="upkeep")
            self._woken.wait(self._settings.retry_seconds)
