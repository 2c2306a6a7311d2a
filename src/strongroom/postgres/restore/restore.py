"""A restored data directory: new or empty, nothing outside of it, whole before it counts.

The target is prepared (checked, laid out at full size, empty), written in any order from any
thread, and finished: every file, summed as it was written, is compared with PostgreSQL's own
backup_manifest, links, settings and owner are set, and all is synced. Then who asked for it writes
down that it is whole, and only after that drops the marker: a directory that still holds the
marker does not count, and the same job may begin again in it, nobody else. Until then it has no
control file, so that no server starts in half of it.
"""

import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import msgspec

from strongroom.model.errors import Corrupt, TargetFull, TargetNotEmpty, TargetRefused
from strongroom.model.first_few import first_few
from strongroom.model.postgres import PAGE
from strongroom.postgres.restore.beneath import Root, filled, open_in, parts_of, refused
from strongroom.postgres.restore.joined_crc import PartSums
from strongroom.postgres.restore.layout import (
    HOLDS_BYTES,
    MARKER,
    UNWANTED,
    Layout,
    RestoredFile,
    absolute,
    check_apart,
    is_made_at_once,
    lay_out,
)
from strongroom.postgres.restore.restored_check import check_log, compare
from strongroom.postgres.restore.restored_settings import check_settings, settle_settings
from strongroom.postgres.restore.standing import CONTROL, NEW_CONTROL, put_control
from strongroom.postgres.restore.target_files import TargetFiles
from strongroom.postgres.server.scratch import RunAs, find_user
from strongroom.postgres.wire.pg_manifest import PgManifest, parse_pg_manifest

__all__ = ["MARKER", "Finished", "RestoreTarget", "RestoredFile"]


@dataclass(slots=True)
class Finished:
    """What stands there now; `written_bytes` counts holes too."""

    files: int
    written_bytes: int
    next_steps: list[str] = field(default_factory=list)


class _Marker(msgspec.Struct):
    job: str
    roots: list[str]
    in_place: bool = False  # in_place.py's, which says more


def _go_on(count: int) -> None:
    del count


class RestoreTarget:
    """One restore into one directory, with its tablespaces beside it."""

    _flags = os.O_WRONLY  # to open what is written
    _make_flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL

    def __init__(self, directory: Path, tablespaces: Mapping[str, str], job_id: str) -> None:
        """`tablespaces`: original location -> new location, for those that move."""
        self.directory = absolute(directory)
        self._moved = dict(tablespaces)
        self._job_id = job_id
        self._layout = Layout(self.directory, (), (), {}, 0o600, 0o700)
        self._roots: dict[str, Root] = {}  # by the layout's names
        self._open = TargetFiles(self._open_file, direct=False)
        self._lock = threading.Lock()
        self._written = 0
        self._sums = PartSums()
        self._made = set[int]()
        self.settle = settle_settings

    @property
    def places(self) -> list[Path]:
        """Every directory that is written to, once it is known: the data directory first."""
        return list(self._layout.places.values())

    # --- before the first byte

    def prepare(
        self, files: Sequence[RestoredFile], needed_bytes: int = 0, *, in_part: bool = False
    ) -> None:
        """Check everything that can be checked before anything is written, then lay out.

        `needed_bytes` is a lower bound beside the sum of the sizes, or, when just a part of the
        files will be written (those that are `make`d), all that counts. Raises TargetNotEmpty
        naming what is there, TargetFull with both numbers, TargetRefused.
        """
        self._layout = lay_out(self.directory, files, self._moved)
        places = list(self._layout.places.values())
        check_apart(places)
        ours = [place for place in places if self._check_place(place)]
        for place in ours:
            _clear(place)
        self._check_space(needed_bytes, {} if in_part else self._layout.sizes())
        self._open = TargetFiles(self._open_file, direct=not in_part)
        self._claim()
        self._made = {i for i, file in enumerate(files) if not in_part or is_made_at_once(file)}
        self._make_all(sorted(self._made))

    def make(self, indexes: Iterable[int]) -> None:
        """Of a restore in part, files that are going to be written, as empty as they come."""
        more = set(indexes) - self._made
        self._make_all(sorted(more))
        self._made |= more

    def _check_place(self, place: Path) -> bool:
        """Whether an earlier try of this job left something there; TargetNotEmpty for others'."""
        if place.is_symlink():
            raise TargetRefused(f"{place} is a link", hint="Name the directory itself.")
        try:
            names = sorted(entry.name for entry in place.iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refused(error, place) from error
        if not names or (place == self.directory and self._is_bare(names)):
            return bool(names)
        marker = self._read_marker()
        if marker is None or str(place) not in marker.roots:
            raise self._not_empty(place, names)
        if marker.in_place:
            raise TargetNotEmpty(
                f"{place} holds a restore in place that did not end",
                hint="Run it again to finish it: strongroom restore NAME --in-place.",
            )
        if marker.job != self._job_id:
            raise TargetNotEmpty(
                f"{place} holds another restore that did not end",
                hint=f"When none runs any more, remove it (rm -r {place}) and restore again.",
            )
        return True

    def _not_empty(self, place: Path, names: list[str]) -> TargetNotEmpty:
        hint = "Restore into a new directory, or empty this one first."
        if place != self.directory:
            hint = f"Map the tablespace elsewhere (--tablespace {place}=NEW), or empty this one."
        return TargetNotEmpty(f"{place} is not empty: it holds {first_few(names)}", hint=hint)

    def _is_bare(self, names: list[str]) -> bool:
        """A try that was killed as it put its marker down left it empty, and nothing else."""
        return names == [MARKER] and (self.directory / MARKER).lstat().st_size == 0

    def _read_marker(self) -> _Marker | None:
        try:
            raw = (self.directory / MARKER).read_bytes()
            return msgspec.json.decode(raw, type=_Marker)
        except (OSError, msgspec.MsgspecError):
            return None

    def check_room(self, more: int) -> None:
        """Raises TargetFull unless `more` bytes fit into the data directory's file system."""
        self._check_space(more, {})

    def _check_space(self, at_least: int, known: Mapping[str, int]) -> None:
        """Every file system that we write to has room for what goes there."""
        sizes = {"": 0, **known}
        sizes[""] += max(0, at_least - sum(sizes.values()))
        needed: dict[int, int] = {}
        parents: dict[int, Path] = {}
        for name, size in sizes.items():
            parent = _existing(self._layout.places[name])
            device = parent.stat().st_dev
            needed[device] = needed.get(device, 0) + size
            parents.setdefault(device, parent)
        for device, size in needed.items():
            found = os.statvfs(parents[device])
            free = found.f_bavail * found.f_frsize
            if free < size:
                raise TargetFull(
                    f"the restore needs {size:,} bytes and {parents[device]} has {free:,} free",
                    hint="Free some, or restore to another file system.",
                    facts={"neededBytes": size, "freeBytes": free},
                )

    def _claim(self) -> None:
        """Make the directories, and put the marker down before anything else."""
        mode = self._layout.directory_mode
        for name, place in self._layout.places.items():
            try:
                place.mkdir(mode=mode, parents=True, exist_ok=True)
                root = self._roots[name] = Root(place)
                os.fchmod(root.descriptor, mode)
            except OSError as error:
                raise refused(error, place) from error
            if name == "":
                told = _Marker(self._job_id, [str(p) for p in self._layout.places.values()])
                root.write((MARKER,), msgspec.json.encode(told), 0o600)

    def _make_all(self, indexes: Iterable[int]) -> None:
        """Directories, and files of their full length; `indexes` in order."""
        for (name, above), together in groupby(indexes, self._directory_of):
            with self._roots[name].directory(above, self._layout.directory_mode) as directory:
                for index in together:
                    self._make(index, directory)

    def _directory_of(self, index: int) -> tuple[str, tuple[str, ...]]:
        """Where a file is made; neighbours share the way to it."""
        file = self._layout.files[index]
        if file.kind == "link" or file.path in UNWANTED:
            return "", ()
        name, parts = self._layout.root_of(index)
        return name, parts if file.kind == "directory" else parts[:-1]

    def _make(self, index: int, directory: int) -> None:
        file = self._layout.files[index]
        if file.kind in {"directory", "link"} or file.path in UNWANTED:
            return
        mode = self._layout.file_mode
        name = self._place(index)[1][-1]
        try:
            descriptor = open_in(directory, name, self._make_flags, mode)
        except OSError as error:
            raise refused(error, file.path) from error
        try:
            os.fchmod(descriptor, mode)
            if os.fstat(descriptor).st_size != file.size:
                os.ftruncate(descriptor, file.size)
        except OSError as error:
            raise refused(error, file.path) from error
        finally:
            os.close(descriptor)

    def _place(self, index: int) -> tuple[Root, tuple[str, ...]]:
        name, parts = self._layout.root_of(index)
        return self._roots[name], NEW_CONTROL if parts == CONTROL and not name else parts

    # --- bytes

    def write(self, index: int, offset: int, data: bytes | memoryview) -> None:
        """Bytes of file number `index` at their place, from any thread; zero pages stay holes."""
        if not 0 <= index < len(self._layout.files):
            raise TargetRefused(f"there is no file number {index}")
        file, view = self._layout.files[index], memoryview(data).cast("B")
        if offset < 0 or offset + len(view) > file.size or file.kind not in HOLDS_BYTES:
            raise TargetRefused(f"bytes beyond the end of {file.path[:200]!r}")
        count = len(view)
        if file.path not in UNWANTED:
            try:
                count = self._put(index, view, offset)
            except OSError as error:
                raise refused(error, file.path) from error
        with self._lock:
            self._written += count

    def _put(self, index: int, data: memoryview, offset: int) -> int:
        """Write -> the bytes that count as written."""
        self._sums.note(index, offset, data)
        for start, end in filled(data):
            self._open.write(index, data[start:end], offset + start)
        return len(data)

    def _open_file(self, index: int, flags: int) -> int:
        root, parts = self._place(index)
        return root.open(parts, self._flags | flags)

    def pages(self, index: int) -> Iterator[bytes]:
        """What has been written of a file, page by page; the last may be shorter."""
        root, parts = self._place(index)
        with os.fdopen(root.open(parts, os.O_RDONLY), "rb") as file:
            while page := file.read(PAGE):
                yield page

    # --- after the last byte

    @property
    def bytes_to_check(self) -> int:
        """What `finish` compares: all that was written but the log, whose sizes it checks."""
        return sum(
            file.size
            for file in self._layout.files
            if file.kind in HOLDS_BYTES and file.kind != "wal" and file.path not in UNWANTED
        )

    def finish(
        self,
        pg_manifest: bytes,
        settings: Mapping[str, str],
        *,
        watch: Callable[[int], None] = _go_on,
        only: Collection[int] | None = None,
    ) -> Finished:
        """Compare with PostgreSQL's manifest, set links and owner, sync; the marker stays.

        `settings` are appended to postgresql.auto.conf, after ours, so that they win. `watch` is
        told how many bytes have just been compared, and may raise to stop. With `only` (indexes)
        just those files are compared, for others were never written, and nothing is synced: a part
        serves while its server runs. Raises Corrupt naming the file
        that is not as it was backed up, TargetRefused, TargetFull.
        """
        check_settings(settings)
        self._open.close()
        told = parse_pg_manifest(pg_manifest)
        self._compare(told, watch, only)
        check_log(self._layout, told)
        main = self._roots[""]
        for name, place in self._layout.tablespaces.items():
            self._link(parts_of(name), place)
        steps = self.settle(main, self._major(), settings, self._layout.file_mode)
        steps += self._give_away()
        for root in self._roots.values() if only is None else ():
            root.sync()
        watch(0)
        self.close()
        count = sum(file.kind in HOLDS_BYTES for file in self._layout.files)
        return Finished(count, self._written, steps)

    def _compare(
        self, told: PgManifest, watch: Callable[[int], None], only: Collection[int] | None
    ) -> None:
        compare(self._layout, told, lambda index: self._sum(index, watch), only)

    def drop_marker(self) -> None:
        """The last step, once it is written down that the target is whole: from here on a server
        may start. Safe twice, and after a crash. Raises TargetNotEmpty when another job is
        restoring there now.
        """
        marker = self._read_marker()
        if marker is None:
            return
        if marker.job != self._job_id:
            raise self._not_empty(self.directory, [MARKER])
        main = Root(self.directory)
        try:
            put_control(main)
            main.remove(MARKER)
        finally:
            main.close()

    def close(self) -> None:
        """Close every file; safe twice. A target that is not finished keeps its marker."""
        self._open.close()
        for root in self._roots.values():
            root.close()

    def _sum(self, index: int, watch: Callable[[int], None]) -> tuple[int, int]:
        """(size, CRC32C) of a file as it was written."""
        size = self._layout.files[index].size
        with self._lock:  # several files are looked at at once
            watch(size)
        return size, self._sums.of_file(index, size)

    def _link(self, parts: tuple[str, ...], place: Path) -> None:
        mode = self._layout.directory_mode
        with self._roots[""].directory(parts[:-1], make_mode=mode) as parent:
            os.symlink(place, parts[-1], dir_fd=parent)

    def _major(self) -> int:
        raw = self._roots[""].read(("PG_VERSION",), 64) or b""
        text = raw.decode(errors="replace").strip()
        if not text.isdigit():
            raise Corrupt("the recovery point holds no PG_VERSION")
        return int(text)

    def _give_away(self) -> list[str]:
        """For root: all of it to the parent's owner, or to postgres."""
        if os.geteuid() != 0:
            return []
        user = _owner_for(self.directory)
        if user is None:
            return [f"Give it to the user that runs PostgreSQL: chown -R USER {self.directory}"]
        for root in self._roots.values():
            root.give_to(user.uid, user.gid)
        return []


def _owner_for(directory: Path) -> RunAs | None:
    owner = directory.parent.stat().st_uid
    return find_user(uid=owner) if owner else find_user(name="postgres")


def _clear(place: Path) -> None:
    """Empty what an earlier try of ours left; its marker stays."""
    try:
        for entry in place.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARKER:
                entry.unlink()
    except OSError as error:
        raise refused(error, place) from error


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place
