"""A base backup read from the server's own disk, when the agent is on its host.

The same events as `base_backup` yields, and a backup_manifest of the same form, so that nobody
after it knows the difference (docs/decisions/0115).
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import google_crc32c

from strongroom.model.errors import SourceRefused, SourceUnsupported
from strongroom.model.postgres import PAGE, Lsn, SystemIdentifier, Timeline, major_of
from strongroom.postgres.backup.basebackup import Prepare, everything
from strongroom.postgres.backup.changed_blocks import ChangedBlocks, FilePart, changed_since
from strongroom.postgres.backup.data_directory import CONTROL, DataDirectory, Entry, reading
from strongroom.postgres.backup.file_part import PartReader, read_at
from strongroom.postgres.backup.low_level import LowLevelBackup
from strongroom.postgres.backup.page_check import FileCheck, PageCheck
from strongroom.postgres.backup.read_ahead import PIECE, ReadAhead
from strongroom.postgres.backup.wal_on_disk import Beside
from strongroom.postgres.server.connect import Conninfo, session
from strongroom.postgres.server.events import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    FilePages,
    ManifestData,
    Started,
    Tablespace,
    Warned,
)
from strongroom.postgres.server.system import System
from strongroom.postgres.wire.pg_manifest import TimedFile, format_pg_manifest

_MODE = 0o600
_LOOKS = 5
_SMALL = 256 << 10  # bytes of a file that is read and checked together with others
_ELSEWHERE = SourceRefused(
    "the files in data_directory are not those of the server that the connection leads to",
    hint="Run the agent on the server's host, or give the server with --source stream.",
)


def disk_backup(
    conninfo: Conninfo,
    label: str,
    *,
    directory: Path,
    watch: Callable[[], None] = lambda: None,
    prepare: Prepare = everything,
    readers: int = 1,
) -> Generator[Event, None, None]:
    """Read the whole server from `directory`, without its write-ahead log; as `base_backup` does.

    `readers`: pieces of a file that are read at once.

    Of a server that keeps WAL summaries only those pages are read that have changed since the
    parent that `prepare` gives. Pages that are damaged on the disk come as they are, with a
    `Warned` after their file. The server is asked by SQL alone.

    Raises as `base_backup` does, and SourceRefused or SourceStopped naming what cannot be read.
    """
    with (
        session(conninfo, watch) as server,
        closing(DataDirectory(directory)) as tree,
        closing(ReadAhead(readers)) as ahead,
    ):
        held = LowLevelBackup(server, major_of(server.version_number))
        start = held.start(label)
        system = held.system()
        beside = Beside(server, directory)
        parent = prepare(beside, system)
        changed, refused = _changed(parent, beside, (system.timeline, start), watch)
        begun = _started(tree, system, start)
        yield replace(begun, by_summaries=changed is not None, refused=refused)
        pages = PageCheck(start, held.position) if system.checksums else None
        copy = _Copy(tree, pages, ahead, changed)
        yield from copy.events()
        yield from (Warned(_left_out(path)) for path in sorted(tree.left_out))
        _check_control(copy.control, system.identifier, start)
        stop = held.stop(start, system.timeline)
        yield from copy.made("backup_label", stop.label)
        if stop.tablespace_map:
            yield from copy.made("tablespace_map", stop.tablespace_map)
        identifier = system.identifier if major_of(system.version_number) >= 17 else None
        manifest = format_pg_manifest(copy.files, identifier, (system.timeline, start, stop.lsn))
        yield ManifestData(memoryview(manifest))
        yield Ended(stop.lsn, system.timeline)


def _changed(
    parent: bytes, beside: Beside, start: tuple[Timeline, Lsn], watch: Callable[[], None]
) -> tuple[ChangedBlocks | None, str]:
    """What has changed since that parent, or None and why nobody can tell."""
    if not parent:
        return None, ""
    try:
        found = changed_since(parent, beside, start, watch)
    except SourceUnsupported as error:
        return None, error.message
    return found, ""


def _started(tree: DataDirectory, system: System, start: Lsn) -> Started:
    sizes: dict[str, int] = {}
    links: dict[str, str] = {}
    for entry in tree.entries():
        space = "/".join(entry.path.split("/")[:2]) if entry.path.startswith("pg_tblspc/") else ""
        sizes[space] = sizes.get(space, 0) + entry.size
        if entry.kind == "link":
            links[entry.path] = entry.link
    return Started(
        start_lsn=start,
        timeline=system.timeline,
        tablespaces=tuple(
            Tablespace(int(path.rpartition("/")[2]), place, sizes.get(path, 0))
            for path, place in links.items()
        ),
        estimated_bytes=sum(sizes.values()),
        system_identifier=system.identifier,
        version_number=system.version_number,
        wal_segment_size=system.wal_segment_size,
        checksums=system.checksums,
    )


def _left_out(path: str) -> SourceRefused:
    return SourceRefused(
        f"a file was left out, for its name is not UTF-8: {path[:200]!r}",
        hint="Rename it, or move it out of the data directory.",
    )


def _check_control(control: bytes, identifier: SystemIdentifier, start: Lsn) -> None:
    """A copy of the server that lies in its place would be behind, or another one."""
    found = ControlFile(control)
    if found.identifier != identifier or found.checkpoint < start:
        raise _ELSEWHERE


class ControlFile:
    """The beginning of global/pg_control. Source: PostgreSQL pg_control.h, ControlFileData."""

    def __init__(self, raw: bytes) -> None:
        self.identifier = int.from_bytes(raw[:8], "little")
        self.checkpoint = int.from_bytes(raw[32:40], "little")


class _Copy:
    """The files of a tree as events, and the list of what came."""

    def __init__(
        self,
        tree: DataDirectory,
        pages: PageCheck | None,
        ahead: ReadAhead,
        changed: ChangedBlocks | None,
    ) -> None:
        self._tree = tree
        self._pages = pages
        self._ahead = ahead
        self._changed = changed
        self._mtime = 0  # of the control file, which the backup's own checkpoint has just written
        self.files: list[TimedFile] = []
        self.control = b""

    def events(self) -> Iterator[Event]:
        """Everything on disk, the control file last.

        Small files wait until they make one piece, or one that is large comes whole. They lie one
        by one between those of which a part comes, or nothing: these pass by.
        """
        small: list[Entry] = []
        size = 0
        for entry in self._tree.entries():
            part = self._part_of(entry)
            is_small = part is None and _is_small(entry)
            if part is None and (not is_small or size + entry.size > PIECE):
                yield from self._together(small)
                small, size = [], 0
            if is_small:
                small.append(entry)
                size += entry.size
            else:
                yield from self._alone(entry, part)

    def _part_of(self, entry: Entry) -> FilePart | None:
        """None: all of it comes."""
        return self._changed.part_of(entry.path, entry.size) if self._changed else None

    def made(self, path: str, content: bytes, mode: int = _MODE) -> Iterator[Event]:
        """A small file that is at hand."""
        yield from self._at_hand(Entry(path, "other", mode, self._mtime), content)

    def _alone(self, entry: Entry, part: FilePart | None) -> Iterator[Event]:
        if entry.kind in {"directory", "link"}:
            yield FileBegun(entry.path, 0, entry.mode, entry.mtime, entry.kind, entry.link)
        elif entry.path == CONTROL:
            yield from self._control(entry)
        elif part is not None:
            yield from self._in_part(entry, part)
        else:
            yield from self._file(entry)

    def _in_part(self, entry: Entry, part: FilePart) -> Iterator[Event]:
        """As long as it was when it was listed: the log tells of what was cut off since."""
        kept = part.kept * PAGE
        begun = FileBegun(entry.path, entry.size, entry.mode, entry.mtime, entry.kind, kept=kept)
        told = TimedFile(entry.path, entry.size, entry.mtime, None)
        if not len(part.blocks):
            yield from (begun, FileEnded())
            self.files.append(told)
            return
        try:
            descriptor = self._tree.open(entry.path)
        except FileNotFoundError:
            return  # dropped since it was listed: the log says so too
        try:
            yield begun
            yield from self._pages_of(entry, descriptor, part)
        finally:
            os.close(descriptor)
        self.files.append(told)

    def _pages_of(self, entry: Entry, descriptor: int, part: FilePart) -> Iterator[Event]:
        check = self._pages.of_file(descriptor, entry.path) if self._pages else None
        reader = PartReader(descriptor, part, check)

        def read(length: int, offset: int) -> bytes:
            with reading(self._tree.path, entry.path):
                return reader.read(length, offset)

        done = 0
        with closing(self._ahead.pieces(read, len(part.blocks) * PAGE)) as pieces:
            for data in pieces:
                blocks = part.blocks[done : done + len(data) // PAGE].tolist()
                yield FilePages(blocks, memoryview(data))
                done += len(blocks)
        yield FileEnded()
        if check and check.damaged.count:
            yield Warned(check.damaged.warning())

    def _together(self, entries: list[Entry]) -> Iterator[Event]:
        """Their pages are checked all at once; a file that is not whole is looked at by itself."""
        read = [(entry, data) for entry in entries if (data := self._content(entry)) is not None]
        whole = [True] * len(read)
        if self._pages is not None and read:
            whole = self._pages.are_whole([(entry.path, data) for entry, data in read])
        for (entry, data), is_whole in zip(read, whole, strict=True):
            yield from self._at_hand(entry, data) if is_whole else self._file(entry)

    def _content(self, entry: Entry) -> bytes | None:
        """None when it was dropped since it was listed: the log says so too."""
        try:
            descriptor = self._tree.open(entry.path)
        except FileNotFoundError:
            return None
        try:
            with reading(self._tree.path, entry.path):
                return _read(descriptor, os.fstat(descriptor).st_size, 0, None)
        finally:
            os.close(descriptor)

    def _at_hand(self, entry: Entry, content: bytes) -> Iterator[Event]:
        yield FileBegun(entry.path, len(content), entry.mode, entry.mtime, entry.kind)
        if content:
            yield FileData(memoryview(content))
        yield FileEnded()
        crc = google_crc32c.value(content)
        self.files.append(TimedFile(entry.path, len(content), entry.mtime, crc))

    def _control(self, entry: Entry) -> Iterator[Event]:
        """The server may be writing it: what reads the same twice is whole."""
        self._mtime = entry.mtime
        older = b""
        for _ in range(_LOOKS):
            self.control = self._tree.read(CONTROL)
            if self.control == older:
                break
            older = self.control
        yield from self.made(CONTROL, self.control, entry.mode)

    def _file(self, entry: Entry) -> Iterator[Event]:
        """As long as it was when it was opened: cut when it grows, zeros where it is cut off."""
        place = self._tree.path / entry.path
        try:
            descriptor = self._tree.open(entry.path)
        except FileNotFoundError:
            return  # dropped since it was listed: the log says so too
        try:
            size = os.fstat(descriptor).st_size
            check = self._pages.of_file(descriptor, entry.path) if self._pages else None
            yield FileBegun(entry.path, size, entry.mode, entry.mtime, entry.kind)
            crc = 0

            def read(length: int, offset: int) -> bytes:
                with reading(place):
                    return _read(descriptor, length, offset, check)

            with closing(self._ahead.pieces(read, size)) as pieces:
                for data in pieces:
                    crc = google_crc32c.extend(crc, data)
                    yield FileData(memoryview(data))
            yield FileEnded()
        finally:
            os.close(descriptor)
        self.files.append(TimedFile(entry.path, size, entry.mtime, crc))
        if check and check.damaged.count:
            yield Warned(check.damaged.warning())


def _is_small(entry: Entry) -> bool:
    is_file = entry.kind not in {"directory", "link"} and entry.path != CONTROL
    return is_file and entry.size <= _SMALL


def _read(descriptor: int, length: int, offset: int, check: FileCheck | None) -> bytes:
    data = read_at(descriptor, offset, length)
    return check.checked(data, offset) if check else data
