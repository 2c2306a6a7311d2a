"""A chain of increments, kept raw beside ours as PostgreSQL sent it, for pg_combinebackup."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from increments import Chain
from strongroom.agent.backup import copy_server
from strongroom.postgres.backup.physical import physical_backup
from strongroom.postgres.server.events import FileBegun, FileData, ManifestData


@dataclass
class RawBackups:
    """Directories as pg_basebackup would have written them, of the very streams that we read."""

    place: Path
    directories: list[Path] = field(default_factory=list)

    def back_up(self, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ours, from the stream, and the raw one beside it."""
        directory = self.place / f"raw-{len(self.directories)}"
        directory.mkdir(parents=True)
        with monkeypatch.context() as within:
            within.setattr(copy_server, "physical_backup", self._kept_in(directory))
            chain.back_up(source="stream")
        for name in ("pg_wal", "pg_wal/archive_status"):
            (directory / name).mkdir(exist_ok=True)
        self.directories.append(directory)

    def _kept_in(self, directory: Path) -> Any:
        def backup(*given: Any, **more: Any) -> Iterator[Any]:
            path = directory / "backup_manifest"
            for event in physical_backup(*given, **more):
                match event:
                    case FileBegun():
                        path = directory / event.path
                        self._begin(directory, path, event)
                    case FileData(data):
                        with path.open("ab") as file:
                            file.write(data)
                    case ManifestData(data):
                        with (directory / "backup_manifest").open("ab") as file:
                            file.write(data)
                yield event

        return backup

    def _begin(self, directory: Path, path: Path, event: FileBegun) -> None:
        parts = event.path.split("/")
        if parts[0] == "pg_tblspc" and len(parts) > 1:
            self._link(directory, parts[1])
        if event.kind in {"directory", "link"}:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def _link(self, directory: Path, space: str) -> None:
        """A tablespace's files come before the link that leads to them."""
        link, place = directory / "pg_tblspc" / space, directory.with_name(directory.name + space)
        if not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            place.mkdir()
            link.symlink_to(place)

    def combined(self, chain: Chain, number: int) -> Path:
        """What PostgreSQL's own program makes of the first `number` + 1 of them."""
        target = self.place / f"combined-{number}"
        last = self.directories[number]
        spaces = []
        for link in sorted((last / "pg_tblspc").iterdir()):
            spaces += ["-T", f"{link.readlink()}={target}-{link.name}"]
        program = chain.server.tools.program("pg_combinebackup")
        done = subprocess.run(
            [program, *spaces, "-N", "-o", target, *self.directories[: number + 1]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return target
