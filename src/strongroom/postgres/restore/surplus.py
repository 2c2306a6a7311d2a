"""What a data directory holds of PostgreSQL's own that a recovery point does not.

It would be taken for a part of what is restored. Files of others beside it stay as they are.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from strongroom.model.errors import TargetRefused
from strongroom.postgres.restore.beneath import Root, refused
from strongroom.postgres.restore.layout import HOLDS_BYTES, MARKER, UNWANTED, Layout

# Source: PostgreSQL manual, "Database File Layout".
_OWN_DIRECTORIES = (
    "base",
    "global",
    "pg_commit_ts",
    "pg_dynshmem",
    "pg_logical",
    "pg_multixact",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_wal",
    "pg_xact",
)
_OWN_FILES = (UNWANTED | {"backup_label", "backup_label.old", "tablespace_map.old"}) - {MARKER}


@dataclass(frozen=True, slots=True)
class Surplus:
    """One file, link or empty directory to take away; `root` by the layout's names."""

    root: str
    parts: tuple[str, ...]
    is_directory: bool
    size: int

    def remove(self, roots: Mapping[str, Root]) -> None:
        """Raises TargetRefused when it cannot be."""
        with roots[self.root].directory(self.parts[:-1]) as parent:
            if self.is_directory:
                os.rmdir(self.parts[-1], dir_fd=parent)
            else:
                os.unlink(self.parts[-1], dir_fd=parent)


def surplus_of(
    layout: Layout, roots: Mapping[str, Root], kept: frozenset[str]
) -> Iterator[Surplus]:
    """What is to go, what lies in a directory before the directory. `kept`: paths of ours.

    Raises TargetRefused for a directory of PostgreSQL's own that is a link.
    """
    main = roots[""]
    files = {f.path for f in layout.files if f.kind in HOLDS_BYTES and f.path not in UNWANTED}
    files |= kept
    directories = {file.path for file in layout.files if file.kind == "directory"}
    directories |= {above for path in files for above in _above(path)}
    directories -= set(layout.tablespaces)
    for name in sorted(_OWN_FILES - files):
        if os.path.lexists(main.path / name):
            yield Surplus("", (name,), is_directory=False, size=0)
    for name in _OWN_DIRECTORIES:
        if (main.path / name).is_dir():
            yield from _beneath("", main, name, "", (files, directories, set(layout.tablespaces)))
    for space in layout.tablespaces.keys() & roots.keys():
        for name in sorted(_versions(layout, space)):
            known = (files, directories, set[str]())
            if (roots[space].path / name).is_dir():
                yield from _beneath(space, roots[space], name, f"{space}/", known)


def _versions(layout: Layout, space: str) -> set[str]:
    """The directories of this very server in a tablespace's place: others' lie beside them."""
    beneath = (file.path for file in layout.files if file.path.startswith(f"{space}/"))
    return {path.split("/")[2] for path in beneath}


def _beneath(
    name: str, root: Root, top: str, prefix: str, known: tuple[set[str], set[str], set[str]]
) -> Iterator[Surplus]:
    files, directories, links = known
    try:
        for place, inner, names, here in os.fwalk(top, topdown=False, dir_fd=root.descriptor):
            for each in [*names, *inner]:
                path = f"{place}/{each}"
                facts = os.stat(each, dir_fd=here, follow_symlinks=False)
                is_directory = stat.S_ISDIR(facts.st_mode)
                if stat.S_ISLNK(facts.st_mode) and prefix + path in directories:
                    raise _is_link(root.path / path)
                wanted = directories if is_directory else files
                if stat.S_ISLNK(facts.st_mode):
                    wanted = links
                if prefix + path not in wanted:
                    size = 0 if is_directory else facts.st_blocks * 512
                    yield Surplus(name, tuple(path.split("/")), is_directory, size)
    except OSError as error:
        raise refused(error, root.path / top) from error


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def check_no_links(main: Root, files: Sequence[str]) -> None:
    """Raises TargetRefused when a directory of PostgreSQL's own or one of `files` is a link."""
    for name in (*_OWN_DIRECTORIES, *files):
        if (main.path / name).is_symlink():
            raise _is_link(main.path / name)


def _is_link(place: object) -> TargetRefused:
    return TargetRefused(
        f"{place} is a link, and a restore follows none but those of tablespaces",
        hint="Put the directory itself there, or restore into a new directory.",
    )
