"""What a provider did not do when it was asked is done later: by a thread, until it is done.

Blobs that are committed and still lie in `incoming/` are put; condemned ones are removed; locks
that were extended are extended there.
"""

import threading
from typing import Any

import structlog

from strongroom.model.errors import VaultError
from strongroom.storage.settings import BackEndSettings
from strongroom.storage.store import BlobStore

_log = structlog.get_logger("strongroom.storage")


class Upkeep:
    """A thread beside the endpoint of a store in a bucket, for as long as the store is open."""

    def __init__(self, store: BlobStore, settings: BackEndSettings) -> None:
        self._store = store
        self._native = store.native  # None: the provider keeps nothing by itself
        self._woken = threading.Event() if store.native is None else store.native.woken
        self._settings = settings
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
        """What the provider is still to do."""
        puts, deletions = self._store.unfinished()
        return {
            "kind": self._settings.kind,
            "nativeLocks": self._native is not None,
            "locksWaiting": 0 if self._native is None else self._native.waiting(),
            "putsWaiting": puts,
            "deletionsWaiting": deletions,
        }

    def look(self) -> None:
        """Once through all of it."""
        self._store.finish(self._stopping)
        if self._native is not None:
            self._native.follow(self._stopping)

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
