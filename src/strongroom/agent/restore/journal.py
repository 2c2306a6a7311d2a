"""What restores came to, so that an operation asked for twice is done once.

A finished directory holds no marker of ours any more, and may hold a running server: a second
attempt must report it, not write it again. So this is written before the marker goes.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from strongroom.agent.private_file import own_directory, read_private, write_private
from strongroom.model.work.operation import RestoreResult

_KEPT = 50


class RestoreJournal:
    """One small file a restore, named by the digest of its operation's id."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, operation_id: str) -> RestoreResult | None:
        """What it came to, if it was finished and its directory, if any, is one of data still."""
        data = read_private(self._file(operation_id))
        if data is None:
            return None
        result = msgspec.json.decode(data, type=RestoreResult)
        stands = not result.directory or (Path(result.directory) / "PG_VERSION").is_file()
        return result if stands else None

    def keep(self, operation_id: str, result: RestoreResult) -> None:
        """Remember it; the oldest of many are forgotten."""
        own_directory(self._directory)
        write_private(self._file(operation_id), msgspec.json.encode(result))
        files = sorted(self._directory.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-_KEPT]:
            file.unlink(missing_ok=True)

    @contextmanager
    def noted(self, scratch: Path) -> Iterator[Path]:
        """Within, a short-lived directory is noted: it is found when this process was killed."""
        own_directory(self._directory)
        note = self._directory / f"{hashlib.sha256(os.fsencode(scratch)).hexdigest()}.scratch"
        write_private(note, os.fsencode(scratch))
        try:
            yield scratch
        finally:
            note.unlink(missing_ok=True)

    def take_away_left(self, remove: Callable[[Path], None]) -> None:
        """What earlier processes noted and left. `remove` takes a directory away."""
        for note in sorted(self._directory.glob("*.scratch")):
            remove(Path(os.fsdecode(read_private(note) or b"")))
            note.unlink(missing_ok=True)

    def _file(self, operation_id: str) -> Path:
        return self._directory / f"{hashlib.sha256(operation_id.encode()).hexdigest()}.json"
