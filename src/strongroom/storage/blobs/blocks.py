"""Blocks that were put and not yet listed: in memory by name, in `incoming/` by bytes.

They are nobody's blob. A restart forgets them (its sweep removes the files), and so does time.
"""

import base64
import binascii
import threading
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.model.errors import Invalid
from strongroom.model.seams import Clock
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.incoming import Incoming, discard_file

MAX_ID_BYTES = 64
BlobKey = tuple[str, str]  # container, name


@dataclass(frozen=True, slots=True)
class Block:
    """A file in `incoming/` and its length."""

    path: Path
    size: int


@dataclass(slots=True)
class _Staged:
    """One blob's blocks, their bytes in all, and when the newest came (monotonic seconds)."""

    blocks: dict[str, Block] = field(default_factory=dict)
    size: int = 0
    newest: float = 0.0


class StagedBlocks:
    """All of them, by blob and block id."""

    def __init__(
        self, disk: Disk, clock: Clock, *, max_blocks: int, max_bytes: int, lifetime: float
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._max_blocks = max_blocks
        self._max_bytes = max_bytes
        self._lifetime = lifetime
        self._staged: dict[BlobKey, _Staged] = {}
        self._lock = threading.Lock()

    def add(self, key: BlobKey, block_id: str, incoming: Incoming) -> None:
        """Keep a block; the same id again replaces it. Raises Invalid beyond the limits."""
        self.forget_old()
        block = Block(incoming.path, incoming.size)
        with self._lock:
            staged = self._staged.setdefault(key, _Staged())
            old = staged.blocks.get(block_id)
            size = staged.size + block.size - (old.size if old else 0)
            if old is None and len(staged.blocks) >= self._max_blocks:
                raise Invalid("too many uncommitted blocks", code="BlockCountExceedsLimit")
            if size > self._max_bytes:
                raise Invalid("the uncommitted blocks are too large", code="RequestBodyTooLarge")
            staged.blocks[block_id] = block
            staged.size, staged.newest = size, self._clock.monotonic()
        if old is not None:
            discard_file(self._disk, old.path)

    def listed(self, key: BlobKey, ids: list[str]) -> list[Block]:
        """The blocks of a list, in its order. Raises Invalid (InvalidBlockList)."""
        with self._lock:
            blocks = self._staged.get(key, _Staged()).blocks
            if missing := [block_id for block_id in ids if block_id not in blocks]:
                raise Invalid(
                    f"{len(missing)} blocks of the list were never put", code="InvalidBlockList"
                )
            found = [blocks[block_id] for block_id in ids]
        if sum(block.size for block in found) > self._max_bytes:
            raise Invalid("the blob would be too large", code="RequestBodyTooLarge")
        return found

    def forget(self, key: BlobKey) -> None:
        """The blob was committed, or will never be."""
        with self._lock:
            staged = self._staged.pop(key, _Staged())
        for block in staged.blocks.values():
            discard_file(self._disk, block.path)

    def forget_old(self) -> None:
        """Uploads whose newest block is older than a lifetime were given up."""
        now = self._clock.monotonic()
        with self._lock:
            old = [
                key for key, staged in self._staged.items() if now - staged.newest > self._lifetime
            ]
        for key in old:
            self.forget(key)


def checked_block_id(text: str) -> str:
    """Base64 of at most 64 bytes, as Azure wants it."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("a block id must be base64", code="InvalidBlockId") from error
    if not 0 < len(raw) <= MAX_ID_BYTES:
        raise Invalid("a block id must have 1 to 64 bytes", code="InvalidBlockId")
    return text
