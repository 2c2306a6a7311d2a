"""A directory of this host as a target: new or empty, and emptied again by the job's next try."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from strongroom.agent.files.targets import PIECE, Sink
from strongroom.model.errors import ObjectMissing, TargetNotEmpty
from strongroom.postgres.restore.beneath import refused
from strongroom.postgres.server import scratch

_MARKER = "strongroom-unfinished.json"
_SCRATCH = "strongroom-scratch"


class _Marker(msgspec.Struct):
    job: str


class DirectoryTarget:
    """While it is not finished a marker in it names the job."""

    def __init__(self, directory: Path, job: str) -> None:
        self.directory = directory
        self._job = job
        self._is_made = False
        self._is_written = False

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.directory)

    def claim(self) -> None:
        """Make it, or empty what an earlier try left. Raises TargetNotEmpty, TargetRefused."""
        try:
            self._is_made = not self.directory.exists()
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = sorted(entry.name for entry in self.directory.iterdir())
            if names and not self._is_ours():
                shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
                raise TargetNotEmpty(
                    f"{self.directory} is not empty: it holds {shown}",
                    hint="Name a new directory, or empty this one first.",
                )
            marker = self.directory / _MARKER
            marker.write_bytes(msgspec.json.encode(_Marker(self._job)))
            user = scratch.server_user(self.directory)
            if scratch.drop_to(user):
                shutil.chown(self.directory, user.uid, user.gid)
            for name in set(names) - {_MARKER, _SCRATCH}:
                (self.directory / name).unlink()
        except OSError as error:
            raise refused(error, self.directory) from error

    def give_up(self) -> None:
        """Where nothing was written yet, whoever asks again, for something else, finds it free."""
        if self._is_written or not self._is_ours():
            return
        with suppress(OSError):
            (self.directory / _MARKER).unlink()
            if self._is_made:
                self.directory.rmdir()

    def _is_ours(self) -> bool:
        try:
            raw = (self.directory / _MARKER).read_bytes()
            return msgspec.json.decode(raw, type=_Marker).job == self._job
        except (OSError, msgspec.MsgspecError):
            return False

    def holds(self, name: str) -> bool:
        """Nothing: each attempt starts over."""
        del name
        return False

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """A new file of mode 0600, synced at its end. Raises TargetRefused, TargetFull."""
        path = self.directory / name
        try:
            with path.open("xb") as file:
                self._is_written = True
                path.chmod(0o600)
                yield file.write
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise refused(error, path) from error

    def read(self, name: str) -> Iterator[bytes]:
        """One file."""
        path = self.directory / name
        try:
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except FileNotFoundError as error:
            raise ObjectMissing(f"there is no {path}") from error
        except OSError as error:
            raise refused(error, path) from error

    def settle(self) -> None:
        """To the user that PostgreSQL runs as; and the marker goes."""
        try:
            user = scratch.server_user(self.directory)
            if scratch.drop_to(user):
                for path in self.directory.iterdir():
                    shutil.chown(path, user.uid, user.gid)
            (self.directory / _MARKER).unlink()
        except OSError as error:
            raise refused(error, self.directory) from error
