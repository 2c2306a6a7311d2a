"""Write a recovery point as plain files, beneath one new directory, without a server's help.

Until `finish` the target has no `global/pg_control`, so PostgreSQL refuses to start on half of it.
Links are made last and never followed: files of a tablespace go straight to where it lies.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from strongroom.datastore.maps.manifest import FileFacts
from strongroom.model.errors import TargetFull, TargetNotEmpty, TargetRefused

# What would make the server another one's: running, standing by, or with its links put back.
UNWANTED = frozenset(
    ("postmaster.pid", "postmaster.opts", "recovery.signal", "standby.signal", "tablespace_map")
)
_CONTROL = "global/pg_control"
_LATER = ".not-yet"
_SETTINGS = "postgresql.auto.conf"
_QUIET = b"\n# added by strongroom rescue: a copy must not write into its source's archive\n"
_TABLESPACE = re.compile(r"pg_tblspc/[0-9]{1,10}")


class PlainTarget:
    """A new directory, and one for each tablespace."""

    def __init__(
        self, directory: Path, files: Sequence[FileFacts], tablespaces: Mapping[str, Path]
    ) -> None:
        """`tablespaces`: where one lay -> where it goes, else `<directory>.tablespaces/<oid>`.

        Raises TargetRefused for paths that lead elsewhere; nothing is touched yet.
        """
        self.directory = directory
        self._files = files
        self._links = _links(directory, files, tablespaces)
        self._places = [self._place(file) for file in files]
        private = not any(f.path == "PG_VERSION" and f.mode & 0o040 for f in files)
        self._file_mode, self._directory_mode = (0o600, 0o700) if private else (0o640, 0o750)

    def _place(self, file: FileFacts) -> Path:
        parts = file.path.split("/")
        strange = not {"", ".", ".."}.isdisjoint(parts) or "\0" in file.path
        if strange or any("\ud800" <= letter < "\ue000" for letter in file.path):
            raise TargetRefused(f"the point names a file outside the target: {file.path[:200]!r}")
        link = "/".join(parts[:2])
        if link in self._links:
            return self._links[link].joinpath(*parts[2:])
        return self.directory.joinpath(*parts)

    def prepare(self) -> None:
        """Directories, and files of full length. Raises TargetNotEmpty, TargetFull."""
        for place in [self.directory, *self._links.values()]:
            with _typed(place):
                place.mkdir(mode=self._directory_mode, parents=True, exist_ok=True)
                if any(place.iterdir()):
                    raise TargetNotEmpty(f"{place} is not empty", hint="name a new directory")
        for file, place in zip(self._files, self._places, strict=True):
            with _typed(place):
                self._make(file, place)

    def _make(self, file: FileFacts, place: Path) -> None:
        if file.kind == "link" or file.path in UNWANTED:
            return
        folder = place if file.kind == "directory" else place.parent
        folder.mkdir(mode=self._directory_mode, parents=True, exist_ok=True)
        if file.kind == "directory":
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self._now(file, place), flags, self._file_mode)
        try:
            os.ftruncate(descriptor, file.size)
        finally:
            os.close(descriptor)

    @staticmethod
    def _now(file: FileFacts, place: Path) -> Path:
        """Where a file lies while the target is not finished."""
        return place.with_name(place.name + _LATER) if file.path == _CONTROL else place

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Bytes of a file, from any thread."""
        file, place = self._files[index], self._places[index]
        if file.path in UNWANTED:
            return
        with _typed(place):
            descriptor = os.open(self._now(file, place), os.O_WRONLY | os.O_NOFOLLOW)
            try:
                while data:
                    written = os.pwrite(descriptor, data, offset)
                    data, offset = data[written:], offset + written
            finally:
                os.close(descriptor)

    def finish(self) -> None:
        """Links, a quiet archive, everything on the disk, and only then pg_control."""
        for path, place in self._links.items():
            link = self.directory / path
            with _typed(link):
                link.parent.mkdir(mode=self._directory_mode, exist_ok=True)
                link.symlink_to(place)
        for file, place in zip(self._files, self._places, strict=True):
            if file.kind != "link" and file.path not in UNWANTED:
                with _typed(place):
                    self._settle(file, place)
        for folder in {place.parent for place in self._places} | {self.directory}:
            with _typed(folder):
                _sync(folder)
        for file, place in zip(self._files, self._places, strict=True):
            if file.path == _CONTROL:
                with _typed(place):
                    self._now(file, place).rename(place)
                    _sync(place.parent)

    def _settle(self, file: FileFacts, place: Path) -> None:
        if file.path == _SETTINGS:
            with place.open("ab") as settings:
                settings.write(_QUIET + b"archive_mode = 'off'\n")
        _sync(self._now(file, place))


def _links(
    directory: Path, files: Sequence[FileFacts], tablespaces: Mapping[str, Path]
) -> dict[str, Path]:
    """pg_tblspc/<oid> -> where the tablespace goes."""
    found: dict[str, Path] = {}
    beside = directory.with_name(f"{directory.name}.tablespaces")
    for file in files:
        if file.kind == "link":
            if _TABLESPACE.fullmatch(file.path) is None:
                raise TargetRefused(f"the point holds a link that is none: {file.path[:200]!r}")
            place = tablespaces.get(file.link, beside / file.path.rpartition("/")[2])
            found[file.path] = place.resolve()
    unknown = sorted(set(tablespaces) - {file.link for file in files if file.kind == "link"})
    if unknown:
        raise TargetRefused(
            f"the point has no tablespace at {unknown[0]}",
            hint="name the place where it lay on the server that was backed up",
        )
    places = [directory.resolve(), *found.values()]
    for index, place in enumerate(places):
        if any(place.is_relative_to(o) or o.is_relative_to(place) for o in places[:index]):
            raise TargetRefused(
                f"{place} lies in another directory of this restore",
                hint="give the data directory and each tablespace a place of its own",
            )
    return found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _typed(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise TargetFull(f"{place} does not fit", hint="name a larger target") from error
        raise TargetRefused(
            f"{place} cannot be written: {error.strerror}",
            hint="name a new directory that you may write to",
        ) from error
