"""The real store of a storage endpoint, on a disk, as the control plane's means see containers.

Its clock is its own, and its extensions of locks can be made to fail.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from whenever import Instant

from replicating import Hasty
from seams import FakeClock, SeededChance
from store_world import ACCOUNT, KEY
from strongroom.datastore.places.container import Immutability, Lock
from strongroom.model.errors import Locked, ObjectMissing, StoreUnavailable
from strongroom.storage.basis.blob import Asked, Facts
from strongroom.storage.basis.settings import StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.ledger import locks

Extend = Callable[[Sequence[str]], str]  # "", or how an extension of these names fails
AWAY, LIES, LOST = "away", "lies", "the answer is lost"


def no_fault(names: Sequence[str]) -> str:
    """Every extension is done."""
    del names
    return ""


class StoreShelf:
    """One container."""

    def __init__(self, store: BlobStore, name: str, extending: Extend) -> None:
        self._store, self._name, self._extending = store, name, extending

    def read(self, name: str) -> bytes:
        reading = self._store.open(self._store.blob(self._name, name))
        try:
            return reading.read(1 << 30)
        finally:
            reading.close()

    def create(self, name: str, data: bytes) -> None:
        upload = self._store.begin(self._name, name, len(data))
        upload.write([data])
        self._store.commit(upload, Facts())

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        found = self._store.page(self._name, Asked(prefix=prefix)).blobs
        return [(blob.name, blob.size) for blob in found]

    def extend_locks(self, names: Sequence[str], until: Instant) -> Sequence[Lock]:
        fault = self._extending(names)
        if fault == AWAY:
            raise StoreUnavailable("locks cannot be extended")
        if fault != LIES:
            self._store.locks.extend(self._name, names, until)
        if fault == LOST:
            raise StoreUnavailable("the answer is lost")
        return [self.lock(name) for name in names]

    def lock(self, name: str) -> Lock:
        found = self._store.locks.of(self._name, name)
        until = None if found.until is None else found.until.format_iso()
        return Lock(found.state, until, [*found.holds])

    def immutability(self) -> Immutability:
        found = self._store.locks.immutability(self._name)
        return Immutability(found.state, found.days)

    def set_immutability(self, wanted: Immutability) -> Immutability:
        chosen = locks.Immutability(wanted.state, wanted.days)  # type: ignore[arg-type]
        self._store.locks.set_immutability(self._name, chosen)
        return wanted

    def delete(self, name: str) -> bool:
        try:
            with suppress(ObjectMissing):
                self._store.delete(self._name, name, "account-key")
        except Locked:
            return False
        return True


class StoreShelves:
    """Every container of an endpoint."""

    def __init__(self, root: Path, clock: FakeClock) -> None:
        self.clock, self.extending = clock, no_fault
        settings = StoreSettings(root=root, account=ACCOUNT, account_key=KEY, reserve_bytes=0)
        self.store = open_store(settings, clock, SeededChance(3), Hasty())

    def container(self, instance_id: str) -> StoreShelf:
        with suppress(ObjectMissing):
            self.store.container(instance_id)
            return StoreShelf(self.store, instance_id, self.extending)
        self.store.create_container(instance_id, {})
        return self.container(instance_id)

    account_view = container

    def locks_of(self, instance_id: str) -> dict[str, Instant]:
        """Name or prefix -> until, as the endpoint's own book says."""
        return self.store.locks.book(instance_id).locks
