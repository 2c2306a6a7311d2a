"""A provider's bucket as the back end: each blob is one object, locked from its first moment on.

PREFIX/CONTAINER/NAME    each blob, exactly its bytes; read by the version that was put

So that who has the account's keys can write over a name, or hide it, and we still read what we
wrote. What was put is looked at before it counts: its size, its digest, and its lock.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from strongroom.model.errors import (
    Corrupt,
    Invalid,
    Locked,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreUnavailable,
)
from strongroom.model.seams import Clock
from strongroom.storage.back_ends.back_end import NativeLock, Reading
from strongroom.storage.back_ends.bucket import Bucket, Stored
from strongroom.storage.basis.blob import Blob

_MOST_KEY_BYTES = 1024
_log = structlog.get_logger("strongroom.storage")


class BucketBackEnd:
    """See back_end.BackEnd and back_end.NativeLocks."""

    def __init__(self, bucket: Bucket, prefix: str, clock: Clock) -> None:
        """`prefix` is empty or ends in `/`."""
        self._bucket = bucket
        self._prefix = prefix
        self._clock = clock

    def check_path(self, container: str, name: str) -> None:
        """A key has at most 1024 bytes."""
        if len(f"{self._prefix}{container}/{name}".encode()) > _MOST_KEY_BYTES:
            raise Invalid(
                "with its container and the bucket's prefix the blob's name is longer than 1024 "
                "bytes",
                code="InvalidResourceName",
            )

    def put(self, source: Path, blob: Blob, keep: NativeLock) -> str:
        """Create it; one that is there already is found again, and kept for as long."""
        version: str | None
        try:
            version = self._bucket.put(self._key(blob), source, blob.blake3.hex(), keep)
        except ObjectExists as error:
            version = self.find(blob)
            if version is None:
                raise Corrupt(
                    "a foreign object has the blob's name", code="BlobCorrupt"
                ) from error
        found = self._bucket.look(self._key(blob), version)
        if not _is(found, blob):
            raise Corrupt("the bucket holds other bytes than were put", code="BlobCorrupt")
        if not found.lock.covers(keep):
            self._keep(blob, version, found.lock, keep)
        return version

    def find(self, blob: Blob) -> str | None:
        """Among all versions of its key the one that was put."""
        key = self._key(blob)
        for version in self._bucket.versions(key):
            with suppress(ObjectMissing):
                if _is(self._bucket.look(key, version), blob):
                    return version
        return None

    def open(self, blob: Blob, offset: int, length: int | None, *, afresh: bool) -> Reading | None:
        """From the provider, each time."""
        del afresh
        try:
            return self._bucket.open(self._key(blob), blob.version, offset, length)
        except ObjectMissing:
            return None

    def remove(self, blob: Blob) -> None:
        """The version that was put, and no other. Raises Locked."""
        key = self._key(blob)
        version = blob.version
        if blob.incoming is not None:  # it may have been put, and not noted
            found = self.find(blob)
            if found is None:
                return
            version = found
        with suppress(ObjectMissing):
            lock = self._binding(self._bucket.look(key, version).lock)
            if lock.is_held:
                self._bucket.keep(key, version, lock, replace(lock, is_held=False))
            try:
                self._bucket.delete(key, version, lock)
            except StoreDenied as error:
                raise _kept(lock) from error

    def check_removable(self, blob: Blob) -> None:
        """What the provider keeps for good until a date stays, though the ledger lets it go."""
        if blob.incoming is None:
            with suppress(ObjectMissing):
                lock = self._binding(self.look(blob))
                if lock.until is not None and lock.is_final:
                    raise _kept(lock)

    def remove_container(self, container: str) -> None:
        """Nothing: a prefix is there only while an object is."""

    def close(self) -> None:
        """Return every connection."""
        self._bucket.close()

    def look(self, blob: Blob) -> NativeLock:
        """What keeps it now. Raises ObjectMissing."""
        return self._bucket.look(self._key(blob), blob.version).lock

    def keep(self, blob: Blob, wanted: NativeLock) -> NativeLock:
        """At least that, and looked at again."""
        return self._keep(blob, blob.version, self.look(blob), wanted)

    def _keep(self, blob: Blob, version: str, now: NativeLock, wanted: NativeLock) -> NativeLock:
        key = self._key(blob)
        self._bucket.keep(key, version, now, wanted)
        found = self._bucket.look(key, version).lock
        if not found.covers(wanted):
            raise StoreUnavailable(
                f"the provider does not hold the lock of {blob.name}",
                hint="See whether the bucket's object lock is on: strongroom doctor says so.",
            )
        return found

    def _binding(self, lock: NativeLock) -> NativeLock:
        """Without a date that is over."""
        over = lock.until is not None and lock.until <= self._clock.now()
        return replace(lock, until=None) if over else lock

    def _key(self, blob: Blob) -> str:
        return f"{self._prefix}{blob.container}/{blob.name}"


def _is(found: Stored, blob: Blob) -> bool:
    return (found.size, found.digest) == (blob.size, blob.blake3.hex())


def _kept(lock: NativeLock) -> Locked:
    until = "" if lock.until is None else lock.until.format_iso()
    return Locked(
        f"the provider of the bucket keeps the blob{f' until {until}' if until else ''}",
        hint="It can be deleted from then on.",
        facts={"until": until} if until else {},
    )
