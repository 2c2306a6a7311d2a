"""A restored data directory: new or empty, nothing outside of it, whole before it counts.

The target is prepared (checked, laid out, preallocated), written in any order from any thread,
and finished: every file is read again and compared with PostgreSQL's own backup_manifest, links
and modes are set, all is synced, and only then the marker goes. A directory that still holds the
marker is half-done; the same job may begin again in it, nobody else.
"""

import json
import os
import shutil
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c

from strongroom.model.errors import Corrupt, TargetFull, TargetNotEmpty, TargetRefused
from strongroom.postgres.scratch import server_user
from strongroom.postgres.wire.pg_manifest import PgManifest, parse_pg_manifest

MARKER = "strongroom-restore.json"
_CHUNK = 4 << 20
_MOST_OPEN = 128
_UNWANTED = {"postmaster.pid", "postmaster.opts", MARKER}

# A restored server must not write into its source's archive, nor load what is not there.
SAFE_SETTINGS = {"archive_mode": "off", "archive_command": "", "primary_conninfo": ""}


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """One entry of the tree: kind is main | other | directory | link."""

    path: str
    size: int
    mode: int
    mtime: int
    kind: str
    link: str = ""


@dataclass(slots=True)
class Finished:
    """What stands there now."""

    files: int
    written_bytes: int
    next_steps: list[str] = field(default_factory=list)


class RestoreTarget:
    """One restore into one directory, with its tablespaces beside it."""

    def __init__(self, directory: Path, tablespaces: Mapping[str, str], job_id: str) -> None:
        """`tablespaces`: original location -> new location, for those that move."""
        if not directory.is_absolute():
            raise TargetRefused(f"{directory} is not an absolute path")
        self.directory = directory
        self._moved = dict(tablespaces)
        self._job_id = job_id
        self._files: Sequence[RestoredFile] = ()
        self._roots: dict[str, Path] = {}  # pg_tblspc/<oid> -> where it lies
        self._open: dict[int, int] = {}
        self._lock = threading.Lock()
        self._written = 0

    def prepare(self, files: Sequence[RestoredFile], needed_bytes: int) -> None:
        """Check everything that can be checked before the first byte is written, then lay out."""
        self._files = files
        for file in files:
            if file.kind == "link":
                self._roots[_tablespace(file.path)] = self._location(file)
        for root in (self.directory, *self._roots.values()):
            self._check_empty(root)
        _check_space(self.directory, needed_bytes)
        self._claim()
        for file in sorted(files, key=lambda f: f.path):
            place = self._place(file.path)
            if file.kind == "directory":
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif file.kind in {"main", "other"} and file.path not in _UNWANTED:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(
                    place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
                )
                os.ftruncate(descriptor, file.size)
                os.close(descriptor)

    def write(self, index: int, offset: int, data: bytes | memoryview) -> None:
        """Bytes of file number `index` at their place; all-zero bytes stay a hole. Any thread."""
        file = self._files[index]
        if offset < 0 or offset + len(data) > file.size:
            raise TargetRefused(f"bytes beyond the end of {file.path}")
        if file.path in _UNWANTED:
            return
        with self._lock:
            self._written += len(data)
            descriptor = self._descriptor(index, file)
            try:
                if not _is_zero(data):
                    self._write_all(descriptor, data, offset)
            except OSError as error:
                raise _refused(error, self._place(file.path)) from error

    @staticmethod
    def _write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done

    def _descriptor(self, index: int, file: RestoredFile) -> int:
        found = self._open.pop(index, None)
        if found is None:
            if len(self._open) >= _MOST_OPEN:
                oldest = next(iter(self._open))
                os.close(self._open.pop(oldest))
            found = os.open(self._place(file.path), os.O_WRONLY | os.O_NOFOLLOW)
        self._open[index] = found
        return found

    def finish(self, pg_manifest: bytes, settings: Mapping[str, str]) -> Finished:
        """Compare with PostgreSQL's manifest, set links and owner, sync, drop the marker."""
        self.close()
        self._compare(parse_pg_manifest(pg_manifest))
        for file in self._files:
            if file.kind == "link":
                self._link(file)
        steps = self._settle(settings)
        for root in (self.directory, *self._roots.values()):
            _own_and_sync(root)
        self._marker.unlink()
        _sync_directory(self.directory)
        count = sum(file.kind in {"main", "other"} for file in self._files)
        return Finished(count, self._written, steps)

    def close(self) -> None:
        """Close every file; safe twice."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    @property
    def _marker(self) -> Path:
        return self.directory / MARKER

    def _location(self, file: RestoredFile) -> Path:
        new = Path(self._moved.get(file.link, file.link))
        if not new.is_absolute() or ".." in new.parts:
            raise TargetRefused(f"tablespace location {new} is not an absolute path")
        return new

    def _place(self, path: str) -> Path:
        """Where a path of the backup lies; TargetRefused when it leads outside."""
        parts = path.split("/")
        if path.startswith("/") or "" in parts or "." in parts or ".." in parts or "\0" in path:
            raise TargetRefused(f"the backup names a file outside the target: {path[:200]!r}")
        root = self._roots.get("/".join(parts[:2])) if len(parts) > 2 else None
        if root is not None:
            return root.joinpath(*parts[2:])
        return self.directory.joinpath(*parts)

    def _check_empty(self, root: Path) -> None:
        if root.is_symlink():
            raise TargetRefused(f"{root} is a link", hint="name the directory itself")
        if not root.exists() or not any(root.iterdir()):
            return
        if root == self.directory and self._marker.exists():
            if json.loads(self._marker.read_bytes()).get("job") == self._job_id:
                return
            raise TargetNotEmpty(
                f"{root} holds another restore that did not end",
                hint=f"remove it (rm -r {root}) and restore again",
            )
        if root != self.directory and self._ours(root):
            return
        first = sorted(entry.name for entry in root.iterdir())[:3]
        raise TargetNotEmpty(
            f"{root} is not empty: it holds {', '.join(first)}",
            hint="restore into a new directory, map the tablespace elsewhere "
            "(--tablespace OLD=NEW), or empty it first",
        )

    def _ours(self, root: Path) -> bool:
        """A tablespace that an earlier try of this job began."""
        if not self._marker.exists():
            return False
        told = json.loads(self._marker.read_bytes())
        return told.get("job") == self._job_id and str(root) in told.get("roots", [])

    def _claim(self) -> None:
        """Empty what an earlier try of ours left, and put the marker down first."""
        roots = [self.directory, *self._roots.values()]
        for root in roots:
            try:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                root.chmod(0o700)
            except OSError as error:
                raise _refused(error, root) from error
        told = {"job": self._job_id, "roots": [str(root) for root in roots]}
        if not self._marker.exists():
            self._marker.write_text(json.dumps(told))
        for root in roots:
            for entry in root.iterdir():
                if entry != self._marker:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        _sync_directory(self.directory)

    def _link(self, file: RestoredFile) -> None:
        place = self.directory / _tablespace(file.path)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.symlink_to(self._roots[_tablespace(file.path)])

    def _compare(self, told: PgManifest) -> None:
        for file in told.files.values():
            if file.path in _UNWANTED:
                continue
            place = self._place(file.path)
            size, crc = _sum(place)
            if size != file.size or (file.crc32c is not None and crc != file.crc32c):
                raise Corrupt(
                    f"{file.path} is not as PostgreSQL's own manifest says",
                    hint="restore another recovery point, and verify this one",
                )

    def _settle(self, settings: Mapping[str, str]) -> list[str]:
        steps = []
        config = self.directory / "postgresql.conf"
        if not config.exists():
            config.write_text(
                "# written by strongroom: the original lies outside the data directory\n"
            )
            steps.append(f"copy the server's own settings into {config}")
        hba = self.directory / "pg_hba.conf"
        if not hba.exists():
            hba.write_text("local all all peer\n")
            steps.append(f"copy the server's own rules of access into {hba}")
        auto = self.directory / "postgresql.auto.conf"
        lines = ["# appended by strongroom at restore"]
        for name, value in {**SAFE_SETTINGS, **settings}.items():
            lines.append(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'")
        with auto.open("a") as file:
            file.write("\n" + "\n".join(lines) + "\n")
        return steps


def _tablespace(path: str) -> str:
    parts = path.split("/")
    if len(parts) != 2 or parts[0] != "pg_tblspc" or not parts[1].isdigit():
        raise TargetRefused(f"the backup holds a link that is no tablespace: {path[:200]!r}")
    return path


def _refused(error: OSError, place: Path) -> TargetFull | TargetRefused:
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return TargetFull(f"no space left for {place}", hint="free some, then restore again")
    return TargetRefused(f"cannot write {place}: {error.strerror}", hint="see who owns it")


def _check_space(directory: Path, needed: int) -> None:
    parent = directory
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise TargetFull(
            f"the restore needs {needed:,} bytes and {parent} has {free:,} free",
            hint="free some, or restore to another file system",
        )


def _is_zero(data: bytes | memoryview) -> bool:
    return not any(data[:64]) and bytes(data).count(0) == len(data)


def _sum(place: Path) -> tuple[int, int]:
    size = crc = 0
    try:
        with place.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                crc = google_crc32c.extend(crc, chunk)
                size += len(chunk)
    except FileNotFoundError:
        return -1, 0
    return size, crc


def _own_and_sync(root: Path) -> None:
    """Everything belongs to the server's user and is on disk."""
    user = server_user(root.parent) if os.geteuid() == 0 else None
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if user is not None:
                    os.fchown(descriptor, user.uid, user.gid)
                os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        if user is not None:
            os.chown(directory, user.uid, user.gid)
        _sync_directory(Path(directory))
    _sync_directory(root.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
