"""A backup in memory, and its restore: what the agent does, without packs in between."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from seams import SystemClock
from strongroom.model.errors import VaultError
from strongroom.postgres.backup.basebackup import BaseBackup, base_backup
from strongroom.postgres.backup.physical import Way, physical_backup
from strongroom.postgres.log.walstream import LogWindow, WalWindow
from strongroom.postgres.restore.restore import Finished, RestoredFile, RestoreTarget
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.events import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    ManifestData,
    Started,
    Warned,
)


class Stream:
    """One sequence of files."""

    def __init__(self) -> None:
        self.files: list[RestoredFile] = []
        self.contents: list[bytearray] = []

    def take(self, event: Event) -> None:
        match event:
            case FileBegun():
                size = 0 if event.kind in {"directory", "link"} else event.size
                self.files.append(
                    RestoredFile(event.path, size, event.mode, event.mtime, event.kind, event.link)
                )
                self.contents.append(bytearray())
            case FileData(data):
                self.contents[-1] += data
            case FileEnded():
                assert len(self.contents[-1]) == self.files[-1].size
            case _:
                raise AssertionError(event)


@dataclass
class Copy:
    started: Started
    ended: Ended
    pg_manifest: bytes
    files: list[RestoredFile]
    contents: list[bytearray]
    warnings: list[VaultError] = field(default_factory=list)

    def content(self, path: str) -> bytes:
        return bytes(self.contents[[file.path for file in self.files].index(path)])

    @property
    def paths(self) -> set[str]:
        return {file.path for file in self.files}

    def restore(
        self,
        directory: Path,
        tablespaces: dict[str, str] | None = None,
        settings: dict[str, str] | None = None,
        job: str = "job-1",
    ) -> Finished:
        """Pieces in disorder, from two threads."""
        target = RestoreTarget(directory, tablespaces or {}, job)
        try:
            target.prepare(self.files)
            pieces = [
                (index, offset, memoryview(content)[offset : offset + (1 << 20)])
                for index, content in enumerate(self.contents)
                for offset in range(0, len(content), 1 << 20)
            ]
            random.Random(7).shuffle(pieces)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda piece: target.write(*piece), pieces))
            finished = target.finish(self.pg_manifest, settings or {})
            target.drop_marker()
            return finished
        finally:
            target.close()


def back_up(
    conninfo: Conninfo,
    on_event: Callable[[Event], None] = lambda _: None,
    label: str = "a test",
    read: BaseBackup = base_backup,
    window: Callable[..., LogWindow] = WalWindow,
) -> Copy:
    base, log = Stream(), Stream()
    manifest, warnings, started = bytearray(), [], None
    threads = threading.active_count()
    way = Way(read, window)
    with closing(physical_backup(conninfo, label, log.take, SystemClock(), way=way)) as events:
        for event in events:
            on_event(event)
            match event:
                case Started():
                    assert started is None
                    started = event
                case Warned(warning):
                    warnings.append(warning)
                case ManifestData(data):
                    manifest += data
                case Ended():
                    ended = event
                case _:
                    base.take(event)
    assert started is not None
    assert threading.active_count() == threads
    return Copy(
        started,
        ended,
        bytes(manifest),
        base.files + log.files,
        base.contents + log.contents,
        warnings,
    )
