"""Reading a blob's bytes again and comparing them with the ledger."""

from collections.abc import Callable

from blake3 import blake3

from strongroom.storage.back_ends.back_end import Reading
from strongroom.storage.basis.blob import Blob, Finding

_PIECE = 1 << 20


def at_once(count: int) -> None:
    """The pace of a reader who is waited for: none."""
    del count


def reread(blob: Blob, reading: Reading, pace: Callable[[int], None] = at_once) -> Finding:
    """What lies there now: `reading` was opened afresh, from the start.

    `pace(bytes)` after each piece may wait, or raise to give up.
    """
    digest = blake3()
    size = 0
    while piece := reading.read(_PIECE):
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
