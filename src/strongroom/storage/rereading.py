"""Reading a blob's bytes again and comparing them with the ledger."""

import os
from collections.abc import Callable

from blake3 import blake3

from strongroom.storage.blob import Blob, Finding
from strongroom.storage.incoming import read_pieces


def at_once(count: int) -> None:
    """The pace of a reader who is waited for: none."""
    del count


def reread(blob: Blob, handle: int, pace: Callable[[int], None] = at_once) -> Finding:
    """What lies on the disk now, not what the cache of the system remembers of it.

    `pace(bytes)` after each piece may wait, or raise to give up.
    """
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    digest = blake3()
    size = 0
    for piece in read_pieces(handle):
        digest.update(piece)
        size += len(piece)
        pace(len(piece))
    found = digest.digest()
    return Finding(
        container=blob.container,
        name=blob.name,
        state="ok" if (size, found) == (blob.size, blob.blake3) else "corrupt",
        size=size,
        blake3=found,
    )
