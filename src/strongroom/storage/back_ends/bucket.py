"""A provider's object store as this store uses it: keys, versions, and locks of its own.

Two of them: s3_bucket.py and azure_bucket.py. What each says is read again before it counts.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whenever import Instant

from strongroom.storage.back_ends.back_end import NativeLock, Reading


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the provider tells of it. `digest`: hex BLAKE3 that was put with it, or ""."""

    size: int
    digest: str
    lock: NativeLock


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of an object, and when it was put by the provider's clock."""

    key: str
    version: str
    put_at: Instant


class Bucket(Protocol):
    """Raises ObjectMissing where a key or a version is not, StoreError for all else.

    A version "" is the object as it is now, for a provider that keeps no versions.
    """

    @property
    def most_bytes(self) -> int:
        """Of one object put in one request."""
        ...

    def why_no_locks(self) -> str:
        """Why it cannot keep objects by itself; empty when it can. Raises Precondition when it
        is not there or refuses us."""
        ...

    def put(self, key: str, source: Path, digest: str, keep: NativeLock) -> str:
        """Create, in one request, whole or not at all; answers the version.

        Raises ObjectExists when the key is taken.
        """
        ...

    def versions(self, key: str) -> list[str]:
        """All that it keeps of a key, the newest first."""
        ...

    def everything(self, prefix: str) -> Iterator[Listed]:
        """All versions of all objects below a prefix; of each object the newest first."""
        ...

    def look(self, key: str, version: str) -> Stored:
        """What lies there and what keeps it."""
        ...

    def open(self, key: str, version: str, offset: int, length: int | None) -> Reading:
        """Its bytes from an offset on."""
        ...

    def keep(self, key: str, version: str, now: NativeLock, wanted: NativeLock) -> None:
        """Extend or set what keeps it, from what it is `now`; set or lift the hold."""
        ...

    def delete(self, key: str, version: str, lock: NativeLock) -> None:
        """Take a version away; `lock`, which is not final, is gone with it. Safe twice.

        Raises StoreDenied when the provider refuses.
        """
        ...

    def close(self) -> None:
        """Return every connection."""
        ...


def md5_of(source: Path) -> str:
    """Base64, as in `Content-MD5`: what every provider compares with what arrived."""
    with source.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(found.digest()).decode()
