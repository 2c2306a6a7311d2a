"""What a restore is going to make, decided before anything is touched: names, places, modes."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import TargetRefused
from strongroom.postgres.restore.beneath import parts_of
from strongroom.postgres.wire.tar import MOST_FILE_BYTES

HOLDS_BYTES = frozenset({"main", "other", "wal"})
MARKER = "strongroom-restore.json"
# Never written: what would make the server another one's (standby, running), or make links.
UNWANTED = frozenset(
    {
        "backup_manifest",
        "postmaster.opts",
        "postmaster.pid",
        "recovery.signal",
        "standby.signal",
        "tablespace_map",
        MARKER,
    }
)
_SMALL = 1 << 20  # bytes of a file
_TABLESPACE = re.compile(r"pg_tblspc/[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """One entry of the tree: kind is main | other | wal | directory | link."""

    path: str
    size: int
    mode: int
    mtime: int
    kind: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Files, and where each of them goes."""

    directory: Path
    files: Sequence[RestoredFile]
    parts: tuple[tuple[str, ...], ...]  # of each file's path
    tablespaces: Mapping[str, Path]  # pg_tblspc/<oid> -> where it lies
    file_mode: int
    directory_mode: int

    @property
    def places(self) -> dict[str, Path]:
        """Every directory that is written to; "" is the data directory."""
        return {"": self.directory, **self.tablespaces}

    def root_of(self, index: int) -> tuple[str, tuple[str, ...]]:
        """The place that a file lies in, and its path there."""
        parts = self.parts[index]
        name = "/".join(parts[:2])
        if len(parts) > 2 and name in self.tablespaces:
            return name, parts[2:]
        return "", parts

    def sizes(self) -> dict[str, int]:
        """Bytes by place."""
        found = dict.fromkeys(self.places, 0)
        for index, file in enumerate(self.files):
            if file.kind in HOLDS_BYTES:
                found[self.root_of(index)[0]] += file.size
        return found


def is_made_at_once(file: RestoredFile) -> bool:
    """Whether a restore in part makes a file that it need not fill: recovery makes small ones when
    it meets them, of large ones it would write every page before the one that it wants.
    """
    return file.kind in {"directory", "link"} or file.size > _SMALL


def lay_out(directory: Path, files: Sequence[RestoredFile], moved: Mapping[str, str]) -> Layout:
    """Decide. Raises TargetRefused for what must not be restored, whoever asks for it."""
    if len({file.path for file in files}) != len(files):
        raise TargetRefused("the backup names a file twice")
    for file in files:
        _check(file)
    tablespaces = {
        file.path: absolute(Path(moved.get(file.link, file.link)))
        for file in files
        if file.kind == "link"
    }
    unknown = sorted(set(moved) - {file.link for file in files if file.kind == "link"})
    if unknown:
        raise TargetRefused(
            f"the backup has no tablespace at {unknown[0]}",
            hint="Name the location that the tablespace has on the source.",
        )
    group = any(file.path == "PG_VERSION" and file.mode & 0o040 for file in files)
    return Layout(
        directory=directory,
        files=files,
        parts=tuple(parts_of(file.path) for file in files),
        tablespaces=tablespaces,
        # The group may read when it may at the source (initdb --allow-group-access).
        file_mode=0o640 if group else 0o600,
        directory_mode=0o750 if group else 0o700,
    )


def _check(file: RestoredFile) -> None:
    shown = repr(file.path[:200])
    if file.kind == "link" and _TABLESPACE.fullmatch(file.path) is None:
        raise TargetRefused(f"the backup holds a link that is no tablespace: {shown}")
    if file.kind not in {*HOLDS_BYTES, "directory", "link"}:
        raise TargetRefused(f"{shown} is neither file, directory nor link")
    if not 0 <= file.size <= MOST_FILE_BYTES:
        raise TargetRefused(f"{shown} states an impossible size: {file.size}")


def absolute(place: Path) -> Path:
    """A path from the root without steps back; TargetRefused otherwise."""
    if not place.is_absolute() or ".." in place.parts or "\0" in str(place):
        raise TargetRefused(
            f"{str(place)[:200]!r} is not an absolute path",
            hint="Name the directory from the root, without `..`.",
        )
    return place


def check_apart(places: list[Path]) -> None:
    """No place lies in another one."""
    real = [Path(os.path.realpath(place)) for place in places]
    for index, place in enumerate(real):
        for other in real[:index]:
            if place.is_relative_to(other) or other.is_relative_to(place):
                raise TargetRefused(
                    f"{places[index]} and {other} lie in one another",
                    hint="Give the data directory and each tablespace a place of its own.",
                )
