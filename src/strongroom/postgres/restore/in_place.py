"""A recovery point written over the data directory that it was taken of: what differs, alone.

First everything is looked at and nothing touched: whose directory it is, that no server runs in
it, which stretches of its files differ. Then it is marked as unfinished, and the control file goes
aside, without which no server starts; the point's own comes last of all. Who dies in the middle
leaves a directory that cannot be started, and the next restore in place finishes it.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import google_crc32c
import msgspec

from strongroom.model.errors import Conflict, TargetNotEmpty, TargetRefused
from strongroom.model.postgres import PAGE
from strongroom.postgres.pages.page_compare import ToldFile, differing
from strongroom.postgres.restore.beneath import Root, write_at
from strongroom.postgres.restore.layout import HOLDS_BYTES, MARKER, UNWANTED, RestoredFile, lay_out
from strongroom.postgres.restore.restore import RestoreTarget
from strongroom.postgres.restore.restored_check import compare
from strongroom.postgres.restore.standing import (
    CONTROL,
    NEW_CONTROL,
    OLD_CONTROL,
    check_same_server,
    check_stopped,
    names_in,
    read_control,
    system_of,
)
from strongroom.postgres.restore.surplus import Surplus, check_no_links, surplus_of
from strongroom.postgres.wire.pg_manifest import PgManifest

_CHUNK = 4 << 20
_CONFIGURATION = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")


class _Marker(msgspec.Struct, kw_only=True):
    """system: whose directory it is, for the control file has gone aside."""

    job: str
    roots: list[str]
    in_place: bool = False
    system: int = 0


class InPlaceTarget(RestoreTarget):
    """survey, compare, begin, write, finish, drop_marker: in this order."""

    _flags = os.O_RDWR
    _make_flags = os.O_RDWR | os.O_CREAT  # what stands there stays

    def __init__(self, directory: Path, tablespaces: Mapping[str, str], job_id: str) -> None:
        """`tablespaces`: original location -> new location, for those that do not stand there."""
        super().__init__(directory, tablespaces, job_id)
        self.left: list[str] = []  # what a person may want to remove
        self.mend: Callable[[list[int]], None] | None = None  # write these files anew, whole
        self._control = b""
        self._system = 0
        self._marker: _Marker | None = None
        self._surplus: list[Surplus] = []
        self._believed: set[int] = set()  # files of which what lies there was compared
        self._owner = (-1, -1)

    # --- before the first byte

    def survey(self, files: Sequence[RestoredFile], system: int) -> None:
        """Look at all that stands there, and touch nothing; `system`: the point's identifier.

        Raises TargetRefused for what is no directory of this server, Precondition when a server
        runs there, TargetNotEmpty for what a restore into a new directory left, TargetFull.
        """
        main = self._roots[""] = Root(self.directory)
        _lock(main)
        facts = os.fstat(main.descriptor)
        self._owner = (facts.st_uid, facts.st_gid)
        self._marker = self._unfinished()
        if self._marker is None:
            self._control = read_control(main)
        self._system = system_of(self._control) if self._marker is None else self._marker.system
        check_same_server(self._system, system, self.directory)
        check_stopped(self.directory)
        check_no_links(main, _CONFIGURATION)
        self._layout = lay_out(self.directory, files, self._moved | self._standing_spaces(files))
        for name, place in self._layout.tablespaces.items():
            self._check_space_place(name, place)
            if place.is_dir():
                self._roots[name] = Root(place)
        self._surplus = list(surplus_of(self._layout, self._roots, self._kept()))
        self.left = [
            f"Tablespace {self.directory.joinpath(*surplus.parts).resolve()} is not in the point: "
            "remove what PostgreSQL left there when nothing else uses it."
            for surplus in self._surplus
            if surplus.root == "" and surplus.parts[0] == "pg_tblspc" and len(surplus.parts) == 2
        ]
        self._check_growth()

    def _unfinished(self) -> _Marker | None:
        raw = self._roots[""].read((MARKER,), 1 << 20)
        if raw is None:
            return None
        try:
            marker = msgspec.json.decode(raw, type=_Marker)
        except msgspec.MsgspecError:
            return None  # the power went while it was written: before anything else was
        if not marker.in_place:
            raise TargetNotEmpty(
                f"{self.directory} holds a restore into a new directory that did not end",
                hint=f"Remove it (rm -r {self.directory}) and restore again without --in-place.",
            )
        return marker

    def _standing_spaces(self, files: Sequence[RestoredFile]) -> dict[str, str]:
        """Tablespaces are where the directory's links lead, whatever the point says."""
        found = {}
        for file in files:
            link = self.directory / file.path
            if file.kind != "link" or not link.is_symlink():
                continue
            place = os.path.realpath(link)
            if self._moved.get(file.link, place) != place:
                raise TargetRefused(
                    f"tablespace {file.link} lies at {place}: restored in place, it stays there",
                    hint=f"Leave out --tablespace {file.link}.",
                )
            found[file.link] = place
        return found

    def _check_space_place(self, name: str, place: Path) -> None:
        known = self._marker is not None and str(place) in self._marker.roots
        stands = (self.directory / name).is_symlink()
        if not (known or stands) and place.is_dir() and any(place.iterdir()):
            raise self._not_empty(place, sorted(entry.name for entry in place.iterdir()))

    def _kept(self) -> frozenset[str]:
        return frozenset({"/".join(OLD_CONTROL), "/".join(NEW_CONTROL), "global/pg_control"})

    def _check_growth(self) -> None:
        growth = sum(
            max(0, file.size - self._size_there(index))
            for index, file in enumerate(self._layout.files)
            if self._is_written(index)
        )
        self.check_room(growth - sum(surplus.size for surplus in self._surplus))

    def _size_there(self, index: int) -> int:
        name, parts = self._layout.root_of(index)
        place = self._layout.places[name].joinpath(*parts)
        try:
            return place.lstat().st_size
        except OSError:
            return 0

    def _is_written(self, index: int) -> bool:
        file = self._layout.files[index]
        return file.kind in HOLDS_BYTES and file.path not in UNWANTED

    def compare(
        self, index: int, told: ToldFile, watch: Callable[[int], None]
    ) -> Iterator[tuple[int, int]]:
        """(start, end) in bytes of what may differ in a file; from any thread."""
        if not self._is_written(index):
            return
        name, parts = self._layout.root_of(index)
        descriptor = None
        if parts != CONTROL and self._layout.files[index].kind != "wal" and name in self._roots:
            descriptor = _open(self._roots[name], parts)
        if descriptor is None:
            yield 0, told.size
            return
        try:
            yield from differing(descriptor, told, watch)
        finally:
            os.close(descriptor)
        self._believed.add(index)

    def check_unchanged(self) -> None:
        """Raises Precondition when a server runs there by now, Conflict when one has run."""
        check_stopped(self.directory)
        is_unfinished = self._marker is not None
        if (self._unfinished() is not None) != is_unfinished or (
            not is_unfinished and self._control != read_control(self._roots[""])
        ):
            raise Conflict(
                f"{self.directory} has changed while it was compared: was its server started?",
                hint="Stop the server, and restore again.",
            )

    # --- from here on there is no way back

    def begin(self) -> None:
        """Mark it as unfinished, so that no server starts; take away what the point has not."""
        main = self._roots[""]
        marker = _Marker(
            job=self._job_id,
            roots=[str(place) for place in self._layout.places.values()],
            in_place=True,
            system=self._system,
        )
        main.write((MARKER,), msgspec.json.encode(marker), 0o600)
        os.fsync(main.descriptor)
        self._set_control_aside()
        for surplus in self._surplus:
            surplus.remove(self._roots)
        mode = self._layout.directory_mode
        for name, place in self._layout.tablespaces.items():
            if name not in self._roots:
                place.mkdir(mode=mode, parents=True, exist_ok=True)
                self._roots[name] = Root(place)
        self._make_all(range(len(self._layout.files)))

    def _set_control_aside(self) -> None:
        with self._roots[""].directory(CONTROL[:-1]) as directory:
            names = names_in(directory)
            if CONTROL[1] in names and OLD_CONTROL[1] not in names:
                os.rename(CONTROL[1], OLD_CONTROL[1], src_dir_fd=directory, dst_dir_fd=directory)
            elif CONTROL[1] in names:
                os.unlink(CONTROL[1], dir_fd=directory)
            if NEW_CONTROL[1] in names:
                os.unlink(NEW_CONTROL[1], dir_fd=directory)
            os.fsync(directory)

    def _put(self, index: int, data: memoryview, offset: int) -> int:
        """Only what is not there yet."""
        written = 0
        with self._open.borrowed(index) as descriptor:
            there = memoryview(os.pread(descriptor, len(data), offset))
            for start, end in () if there == data else _unequal(there, data):
                write_at(descriptor, data[start:end], offset + start)
                written += end - start
        return written

    # --- after the last byte

    def _compare(
        self, told: PgManifest, watch: Callable[[int], None], only: Collection[int] | None
    ) -> None:
        """A file whose pages were believed, and wrongly so, is written anew."""
        wrong: list[int] = []

        def read(index: int) -> tuple[int, int]:
            found = self._sum(index, watch)
            pg_file = told.files[self._layout.files[index].path]
            if pg_file.crc32c in {None, found[1]} or index not in self._believed:
                return found
            wrong.append(index)
            return pg_file.size, pg_file.crc32c or 0

        compare(self._layout, told, read, only)
        if wrong and self.mend is not None:
            self.mend(wrong)
            self._open.close()
        if wrong:
            compare(self._layout, told, lambda index: self._sum(index, lambda _: None), wrong)

    def _sum(self, index: int, watch: Callable[[int], None]) -> tuple[int, int]:
        """Read again: most of it was not written just now."""
        root, parts = self._place(index)
        size = crc = 0
        with os.fdopen(root.open(parts, os.O_RDONLY), "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                crc = google_crc32c.extend(crc, chunk)
                size += len(chunk)
                with self._lock:  # several files are read at once
                    watch(len(chunk))
        return size, crc

    def _link(self, parts: tuple[str, ...], place: Path) -> None:
        with self._roots[""].directory(parts[:-1]) as parent:
            if parts[-1] in names_in(parent):
                return
        super()._link(parts, place)

    def _give_away(self) -> list[str]:
        """For root: what we made belongs to whom the directory belongs."""
        if os.geteuid() != 0:
            return []
        made: set[tuple[str, tuple[str, ...]]] = {("", (name,)) for name in _CONFIGURATION}
        for index, file in enumerate(self._layout.files):
            name, parts = ("", self._layout.parts[index])
            if file.kind != "link":
                name, parts = self._layout.root_of(index)
            parts = NEW_CONTROL if parts == CONTROL else parts
            made |= {(name, parts[:depth]) for depth in range(1, len(parts) + 1)}
        for name, parts in made:
            self._give(self._roots[name], parts)
        for name in self._layout.tablespaces:
            os.fchown(self._roots[name].descriptor, *self._owner)
        return []

    def _give(self, root: Root, parts: tuple[str, ...]) -> None:
        with root.directory(parts[:-1]) as parent, suppress(FileNotFoundError):  # not ours to make
            os.chown(parts[-1], *self._owner, dir_fd=parent, follow_symlinks=False)


def _lock(root: Root) -> None:
    """Held until the directory is closed, by whatever end."""
    try:
        fcntl.flock(root.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(
            f"another restore writes into {root.path} just now",
            hint="Wait until it has ended: strongroom jobs.",
        ) from error


def _open(root: Root, parts: tuple[str, ...]) -> int | None:
    """A descriptor of a regular file; None when there is none."""
    try:
        descriptor = root.open(parts, os.O_RDONLY)
    except TargetRefused as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _unequal(there: memoryview, data: memoryview) -> Iterator[tuple[int, int]]:
    """Runs of pages (start, end) that differ; what lies beyond the end of `there` does."""
    begin = -1
    for start in range(0, len(data), PAGE):
        if there[start : start + PAGE] == data[start : start + PAGE]:
            if begin >= 0:
                yield begin, start
            begin = -1
        elif begin < 0:
            begin = start
    if begin >= 0:
        yield begin, len(data)
