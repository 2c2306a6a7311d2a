"""A directory of dump files: new or empty, whole before it counts, and known again by its job."""

import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import msgspec

from strongroom.model.errors import TargetNotEmpty
from strongroom.model.operation import RestoreResult
from strongroom.postgres import scratch
from strongroom.postgres.beneath import refused
from strongroom.postgres.scratch_dump import Dumped

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_MARKER = "strongroom-unfinished.json"


class DumpFile(msgspec.Struct, kw_only=True, rename="camel"):
    """One file of the directory."""

    name: str
    size: int
    sha256: str
    holds: str = ""  # what it is, for people


class DumpManifest(msgspec.Struct, kw_only=True, rename="camel"):
    """What lies there, and where it comes from."""

    job: str
    recovery_point: str
    taken_at: str
    source_version: int
    files: list[DumpFile] = []
    result: RestoreResult | None = None  # what was reported, for who asks twice


class _Marker(msgspec.Struct):
    job: str


class DumpDirectory:
    """One job's. A second attempt of the job starts over in it, nobody else writes there."""

    def __init__(self, path: Path, manifest: DumpManifest) -> None:
        self.path = path
        self.manifest = manifest

    def finished(self) -> RestoreResult | None:
        """What this job reported when it had finished, if it had."""
        try:
            told = msgspec.json.decode((self.path / MANIFEST).read_bytes(), type=DumpManifest)
        except (OSError, msgspec.MsgspecError):
            return None
        return told.result if told.job == self.manifest.job else None

    def claim(self) -> None:
        """Make it, or empty what an earlier try left. Raises TargetNotEmpty, TargetRefused."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = sorted(entry.name for entry in self.path.iterdir())
            if names and not self._is_ours():
                shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
                raise TargetNotEmpty(
                    f"{self.path} is not empty: it holds {shown}",
                    hint="Name a new directory, or empty this one first.",
                )
            marker = self.path / _MARKER
            marker.write_bytes(msgspec.json.encode(_Marker(self.manifest.job)))
            user = scratch.server_user(self.path)
            if scratch.drop_to(user):
                shutil.chown(self.path, user.uid, user.gid)
            for name in set(names) - {_MARKER, "strongroom-scratch"}:
                (self.path / name).unlink()
        except OSError as error:
            raise refused(error, self.path) from error

    def _is_ours(self) -> bool:
        try:
            raw = (self.path / _MARKER).read_bytes()
            return msgspec.json.decode(raw, type=_Marker).job == self.manifest.job
        except (OSError, msgspec.MsgspecError):
            return False

    def add(self, dumped: Dumped, holds: str) -> None:
        """Remember a file that was written here."""
        name = dumped.path.name
        file = DumpFile(name=name, size=dumped.size, sha256=dumped.sha256, holds=holds)
        self.manifest.files.append(file)

    def write(self, name: str, text: str, holds: str) -> None:
        """A file of our own words, remembered like the others."""
        raw = text.encode(errors="surrogateescape")
        self._put(name, raw)
        digest = hashlib.sha256(raw).hexdigest()
        self.add(Dumped(self.path / name, len(raw), digest), holds)

    def finish(self, result: RestoreResult) -> RestoreResult:
        """Digests, the manifest, and last of all the marker goes."""
        files = self.manifest.files
        self._put(SUMS, "".join(f"{f.sha256}  {f.name}\n" for f in files).encode())
        result = msgspec.structs.replace(
            result, files=len(files), written_bytes=sum(file.size for file in files)
        )
        self.manifest.result = result
        self._put(MANIFEST, msgspec.json.format(msgspec.json.encode(self.manifest)) + b"\n")
        try:
            user = scratch.server_user(self.path)
            if scratch.drop_to(user):
                for path in self.path.iterdir():
                    shutil.chown(path, user.uid, user.gid)
            (self.path / _MARKER).unlink()
        except OSError as error:
            raise refused(error, self.path) from error
        return result

    def _put(self, name: str, raw: bytes) -> None:
        path = self.path / name
        try:
            with path.open("xb") as file:
                path.chmod(0o600)
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise refused(error, path) from error


def file_name(*words: str) -> str:
    """A name of a file out of names of PostgreSQL: what no path may hold is percent-encoded."""
    return quote("_".join(words), safe=" ()+,-.@_~")
