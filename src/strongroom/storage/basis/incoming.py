"""A body on its way in: bytes go to a file in `incoming/` and through the digests, once."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from blake3 import blake3

from strongroom.model.errors import Invalid, StoreFull, StoreUnavailable
from strongroom.storage.basis.disk import Disk

_log = structlog.get_logger("strongroom.storage")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Incoming:
    """One file being filled. `limit`: the most bytes it may have.

    MD5 is computed only when somebody will compare it: it costs more than everything else.
    """

    def __init__(self, disk: Disk, path: Path, *, limit: int, with_md5: bool) -> None:
        self.path = path
        self.size = 0
        self._disk = disk
        self._limit = limit
        self._blake3 = blake3()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        with disk_errors():
            self._handle: int | None = disk.create(path)

    @property
    def blake3(self) -> bytes:
        """Of what has been written."""
        return self._blake3.digest()

    @property
    def md5(self) -> bytes | None:
        """Of what has been written, when it was asked for."""
        return self._md5.digest() if self._md5 else None

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append. Raises Invalid beyond the limit, StoreFull or StoreUnavailable from the disk."""
        self.size += sum(map(len, pieces))
        if self.size > self._limit:
            raise Invalid("the body is longer than allowed", code="RequestBodyTooLarge")
        if self._handle is None:
            raise StoreUnavailable("the upload was closed")
        with disk_errors():
            self._disk.write(self._handle, pieces)
        for piece in pieces:
            self._blake3.update(piece)
            if self._md5:
                self._md5.update(piece)

    def close(self, *, durable: bool) -> None:
        """The file is whole. `durable`: its bytes and its name survive a power loss."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            if durable:
                with disk_errors():
                    self._disk.fsync(handle)
                    self._disk.fsync_dir(self.path.parent)
                    self._disk.forget(handle)
        finally:
            os.close(handle)

    def discard(self) -> None:
        """Nothing came of it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        discard_file(self._disk, self.path)


def discard_file(disk: Disk, path: Path) -> None:
    """Remove a file of `incoming/`; one that cannot be removed is swept at the next start."""
    try:
        disk.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("incoming_file_left", file=path.name, error=error.strerror)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate what a disk says: full, or not answering."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFull(
                "the store's disk is full", hint="Free space, or give the store a larger disk."
            ) from error
        raise StoreUnavailable(f"the store's disk failed: {error.strerror}") from error


def read_pieces(handle: int, piece_bytes: int = 1 << 20) -> Iterator[bytes]:
    """A file from its start, in pieces."""
    offset = 0
    while piece := os.pread(handle, piece_bytes, offset):
        offset += len(piece)
        yield piece
