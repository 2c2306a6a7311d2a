"""Where the bytes of committed blobs lie, as a seam: the local disk, or a provider's bucket.

The ledger says what exists and until when it is kept; a back end keeps bytes under a blob's name,
once, and gives them back. Nothing here decides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whenever import Instant

from strongroom.storage.basis.blob import Blob


@dataclass(frozen=True, slots=True)
class NativeLock:
    """What a provider itself keeps a blob by. `until` None: no date keeps it.

    `is_final`: nobody can shorten it, whatever keys they have. `is_held`: a legal hold.
    """

    until: Instant | None = None
    is_final: bool = False
    is_held: bool = False

    def covers(self, wanted: "NativeLock") -> bool:
        """Whether it keeps at least what is wanted."""
        if wanted.is_held and not self.is_held:
            return False
        if wanted.until is None:
            return True
        long_enough = self.until is not None and self.until >= wanted.until
        return long_enough and (self.is_final or not wanted.is_final)


class Reading(Protocol):
    """A stretch of a blob's bytes, read in order."""

    @property
    def size(self) -> int:
        """Of the whole blob as it lies there, bytes."""
        ...

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; empty at the end. Raises StoreUnavailable."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class BackEnd(Protocol):
    """The caller holds the blob's name. Errors are StoreError, or as said."""

    def check_path(self, container: str, name: str) -> None:
        """Refuse a name that cannot be put, before the ledger says that it was: raises Conflict,
        Invalid."""
        ...

    def put(self, source: Path, blob: Blob, keep: NativeLock) -> str:
        """The bytes of a file become the blob's, durably, locked from the first moment on.

        Safe twice. Answers the version by which it is read from now on, "" where there are none.
        Raises Corrupt when something else has its name.
        """
        ...

    def find(self, blob: Blob) -> str | None:
        """The version of a blob that was put, or None when it is not there."""
        ...

    def open(self, blob: Blob, offset: int, length: int | None, *, afresh: bool) -> Reading | None:
        """From `offset` so many bytes, or all; None when it is gone.

        `afresh`: what lies there, not what a cache remembers of it.
        """
        ...

    def check_removable(self, blob: Blob) -> None:
        """Asked before a deletion is recorded. Raises Locked when the provider would refuse it."""
        ...

    def remove(self, blob: Blob) -> None:
        """Take its bytes away; safe twice. Raises Locked when the provider keeps them."""
        ...

    def remove_container(self, container: str) -> None:
        """What is left of a container that holds nothing."""
        ...

    def close(self) -> None:
        """Return every connection."""
        ...


class NativeLocks(Protocol):
    """Of a back end whose provider can keep blobs by itself."""

    def look(self, blob: Blob) -> NativeLock:
        """What keeps it now. Raises ObjectMissing."""
        ...

    def keep(self, blob: Blob, wanted: NativeLock) -> NativeLock:
        """At least that; answers what the provider says then. A hold is set or lifted."""
        ...
