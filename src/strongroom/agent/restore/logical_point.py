"""The files of a logical point, read one at a time."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import Share
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.in_order import read_in_order
from strongroom.datastore.reading.reader import read_files
from strongroom.model.errors import Corrupt, NotFound, TargetRefused
from strongroom.model.work.logical import GLOBALS, LOGICAL, PARAMETERS
from strongroom.model.work.operation import Progress


@dataclass(slots=True)
class LogicalPoint:
    """One of them, and what reading it has cost so far."""

    held: HeldLease
    manifest: Manifest
    blobs: Blobs
    keys: dict[bytes, bytes]
    share: Share
    fetched: int = 0

    def index(self, path: str) -> int:
        """A file's number; Corrupt when the point has no such file."""
        for index, file in enumerate(self.manifest.files):
            if file.path == path:
                return index
        raise Corrupt(f"the recovery point holds no {path}")

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self.manifest.files[self.index(path)].size

    def text(self, path: str) -> str:
        """A small file; what is no UTF-8 as surrogates."""
        pieces = self.pieces(path, lambda _count: None)
        return b"".join(bytes(piece) for piece in pieces).decode(errors="surrogateescape")

    def globals(self) -> str:
        """What pg_dumpall said of roles and tablespaces."""
        return self.text(GLOBALS)

    def parameters(self) -> dict[str, Any]:
        """What was noted of the server: `databases` maps each to its file and its description."""
        if not is_logical(self.manifest):
            raise TargetRefused(
                "only a logical point can be loaded into a running server",
                hint="Choose a point of kind Logical, or restore it as a server: --to-dir.",
            )
        found: dict[str, Any] = msgspec.json.decode(self.text(PARAMETERS))
        return found

    def pieces(self, path: str, advance: Callable[[int], None]) -> Iterator[memoryview]:
        """A file from its beginning to its end; `advance(raw bytes)` after each piece."""

        def fetched(count: int) -> None:
            self.fetched += count
            self.held.check()

        for piece in read_in_order(
            self.manifest,
            self.blobs,
            self.keys,
            self.index(path),
            workers=self.share.workers,
            on_fetched=fetched,
        ):
            self.held.check()
            yield piece
            advance(len(piece))

    def spool(self, path: str, into: Path, progress: Progress) -> None:
        """One file into a new one of mode 0600."""
        handle = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

        def write(_file: int, offset: int, data: memoryview) -> None:
            self.held.check()
            while data:
                count = os.pwrite(handle, data, offset)
                data, offset = data[count:], offset + count

        def advance(raw: int, _stored: int) -> None:
            self.held.check()
            progress.done_bytes += raw

        try:
            os.ftruncate(handle, self.size(path))
            self.fetched += read_files(
                self.manifest,
                self.blobs,
                self.keys,
                write,
                select=[self.index(path)],
                workers=self.share.workers,
                on_progress=advance,
            )
        finally:
            os.close(handle)


def is_logical(manifest: Manifest) -> bool:
    """Whether a point holds dumps, and no data directory."""
    return manifest.facts.kind == LOGICAL.lower()


def described(parameters: dict[str, Any], database: str) -> dict[str, Any]:
    """What a point notes of a database. Raises NotFound, with those that it has."""
    known: dict[str, dict[str, Any]] = parameters["databases"]
    if database not in known:
        there = ", ".join(sorted(known))
        raise NotFound(
            f"the point has no database {database!r}", hint=f"It has: {there or 'none'}."
        )
    return known[database]
