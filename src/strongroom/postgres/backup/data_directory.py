"""The tree of a data directory as it lies on disk, without what no backup wants.

What is left out is what BASE_BACKUP leaves out (PostgreSQL src/backend/backup/basebackup.c): the
log, which comes by another way, what a server makes anew when it starts, temporary files, and all
of an unlogged relation but its init fork. No link is followed but those of tablespaces.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import SourceError, SourceRefused, SourceStopped
from strongroom.postgres.backup.basebackup import is_main_fork
from strongroom.postgres.server.events import FileKind
from strongroom.postgres.server.links import is_needed, link_refused

CONTROL = "global/pg_control"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WITHOUT_CONTENT = frozenset(
    {
        "pg_dynshmem",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_stat_tmp",
        "pg_subtrans",
    }
)
_LEFT_OUT = frozenset(
    {
        "backup_label",
        "backup_manifest",
        "current_logfiles.tmp",
        "postgresql.auto.conf.tmp",
        "postmaster.opts",
        "postmaster.pid",
        "tablespace_map",
    }
)
_LEFT_OUT_BEGINNINGS = ("pg_internal.init", "pgsql_tmp")
_FROM_LOG = frozenset({"pg_wal/archive_status", "pg_wal/summaries"})  # kept, empty
_RELATION = re.compile(r"([0-9]+)(?:_(fsm|vm|init))?(?:\.([0-9]+))?")
_TEMPORARY = re.compile(r"t[0-9]+_[0-9]+(?:_(?:fsm|vm|init))?(?:\.[0-9]+)?")
_DATABASE = re.compile(r"(?:base|pg_tblspc/[0-9]+/PG_[^/]+)/[0-9]+")
_SPACE = re.compile(r"pg_tblspc/[0-9]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the tree, as `FileBegun` names it; a file may have another size by now."""

    path: str
    kind: FileKind
    mode: int
    mtime: int
    size: int = 0
    link: str = ""


def _entry(path: str, kind: FileKind, facts: os.stat_result, link: str = "") -> Entry:
    size = 0 if kind in {"directory", "link"} else facts.st_size
    return Entry(path, kind, stat.S_IMODE(facts.st_mode), int(facts.st_mtime), size, link)


def segment_of(path: str) -> int | None:
    """Which segment of a relation's fork a file is; None when its pages have no checksums."""
    directory, _, name = path.rpartition("/")
    found = _RELATION.fullmatch(name)
    if found is None or not (directory == "global" or _DATABASE.fullmatch(directory)):
        return None
    return int(found[3] or 0)


class DataDirectory:
    """An open data directory. `entries` is for one thread, `open` for any."""

    def __init__(self, path: Path) -> None:
        """Raises SourceRefused when it cannot be read."""
        self.path = path
        with reading(path):
            self._root = os.open(path, _DIRECTORY)
        self.left_out: set[str] = set()  # files by their names, which no recovery point can hold
        self._spaces: dict[str, int] = {}  # "pg_tblspc/16385" -> descriptor of its location

    def close(self) -> None:
        """Close the directory and its tablespaces."""
        for descriptor in [self._root, *self._spaces.values()]:
            os.close(descriptor)

    def open(self, path: str) -> int:
        """A descriptor of a file; FileNotFoundError when it is gone, else SourceError."""
        *directories, name = path.split("/")
        current = self._root
        if (space := self._spaces.get("/".join(directories[:2]))) is not None:
            current, directories = space, directories[2:]
        with reading(self.path, path), self._descent(current, directories) as parent:
            return os.open(name, _FILE, dir_fd=parent)

    def read(self, path: str) -> bytes:
        """A small file whole."""
        with reading(self.path, path), os.fdopen(self.open(path), "rb") as file:
            return file.read(1 << 20)

    def entries(self) -> Iterator[Entry]:
        """Directories, links and files in no certain order, but the control file last of all."""
        own = f"PG_{self.read('PG_VERSION').decode().strip()}_{self._catalogue_version()}"
        with self._descent(self._root, []) as root:
            yield from self._walk(root, "", own)
        control = self.open(CONTROL)
        try:
            yield _entry(CONTROL, "other", os.fstat(control))
        finally:
            os.close(control)

    def _catalogue_version(self) -> int:
        # ControlFileData (pg_control.h) begins: identifier u64, its version u32, catalogue's u32
        return int.from_bytes(self.read(CONTROL)[12:16], "little")

    @contextmanager
    def _descent(self, current: int, names: list[str]) -> Iterator[int]:
        """A descriptor of a directory beneath `current`, closed in the end."""
        descriptor = os.dup(current)
        try:
            for name in names:
                following = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = following
            yield descriptor
        finally:
            os.close(descriptor)

    def _walk(self, directory: int, path: str, own: str) -> Iterator[Entry]:
        with reading(self.path, path):
            names = sorted(os.listdir(directory))
        known = frozenset(names)
        for name in names:
            inside = f"{path}/{name}" if path else name
            if _is_left_out(path, name, known) or inside == CONTROL:
                continue
            if _is_bytes(name):
                self.left_out.add(inside)
                continue
            try:
                with reading(self.path, inside):
                    facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(facts.st_mode) and _SPACE.fullmatch(inside):
                yield from self._tablespace(directory, inside, facts, own)
            elif stat.S_ISDIR(facts.st_mode) or inside == "pg_wal":
                yield from self._beneath(directory, inside, facts, own)
            elif stat.S_ISREG(facts.st_mode):
                yield _entry(inside, "main" if is_main_fork(inside) else "other", facts)
            elif stat.S_ISLNK(facts.st_mode) and is_needed(inside):
                raise link_refused(str(self.path / inside))

    def _beneath(self, parent: int, path: str, facts: os.stat_result, own: str) -> Iterator[Entry]:
        name = path.rpartition("/")[2]
        yield _entry(path, "directory", facts)
        if name in _WITHOUT_CONTENT:
            return
        try:
            flags = _DIRECTORY if path == "pg_wal" else _DIRECTORY | os.O_NOFOLLOW
            with reading(self.path, path):
                descriptor = os.open(name, flags, dir_fd=parent)
        except FileNotFoundError:
            return
        try:
            yield from self._walk(descriptor, path, own)
        finally:
            os.close(descriptor)

    def _tablespace(
        self, parent: int, path: str, facts: os.stat_result, own: str
    ) -> Iterator[Entry]:
        """The link, and of its place only the directory of this major version."""
        name = path.rpartition("/")[2]
        try:
            with reading(self.path, path):
                link = os.readlink(name, dir_fd=parent)
                if path not in self._spaces:
                    self._spaces[path] = os.open(name, _DIRECTORY, dir_fd=parent)
                space = self._spaces[path]
                inner = os.stat(own, dir_fd=space, follow_symlinks=False)
        except FileNotFoundError:
            return
        yield _entry(path, "link", facts, link)
        yield from self._beneath(space, f"{path}/{own}", inner, own)


def _is_bytes(name: str) -> bool:
    """Whether a name is not UTF-8 (PEP 383)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_left_out(path: str, name: str, known: frozenset[str]) -> bool:
    if name in _LEFT_OUT or name.startswith(_LEFT_OUT_BEGINNINGS):
        return True
    if path == "pg_wal" or path in _FROM_LOG:
        return f"{path}/{name}" not in _FROM_LOG
    if not _DATABASE.fullmatch(path):
        return False
    relation = _RELATION.fullmatch(name)
    unlogged = relation is not None and relation[2] != "init" and f"{relation[1]}_init" in known
    return unlogged or _TEMPORARY.fullmatch(name) is not None


@contextmanager
def reading(place: Path, inside: str = "") -> Iterator[None]:
    """Failures of the operating system come out typed; only FileNotFoundError as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refused(error, place / inside) from error


def _refused(error: OSError, place: Path) -> SourceError:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SourceRefused(
            f"the agent may not read {place}",
            hint="Run the agent as the server's own user, or have it read by the stream: "
            "strongroom agent add NAME --source stream --replace.",
            facts={"path": str(place)},
        )
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return link_refused(str(place))
    return SourceStopped(
        f"{place} cannot be read: {error.strerror}",
        hint="Test the disk; the kernel's log says more.",
        facts={"path": str(place)},
    )
