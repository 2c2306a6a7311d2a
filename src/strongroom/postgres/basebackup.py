"""BASE_BACKUP as a stream of events. Where the bytes go is not this room's business.

Source: PostgreSQL manual, "Streaming Replication Protocol", BASE_BACKUP; servers before 15 send
one COPY for each tablespace and one for the manifest, later ones a single COPY of typed messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import google_crc32c
from psycopg import pq

from strongroom.model.errors import Corrupt, SourceUnsupported
from strongroom.model.postgres import PAGE, Lsn, Timeline, lsn_from_text, major_of
from strongroom.postgres.connect import copy_data, failure
from strongroom.postgres.wire.messages import (
    ArchiveData,
    BackupMessage,
    ManifestBegins,
    NewArchive,
    parse_backup_message,
)
from strongroom.postgres.wire.pg_manifest import PgManifest, parse_pg_manifest
from strongroom.postgres.wire.tar import Member, TarReader


@dataclass(frozen=True, slots=True)
class Tablespace:
    """A tablespace of the source; sizes in bytes, as the server estimates them."""

    oid: int
    location: str
    size: int


@dataclass(frozen=True, slots=True)
class Started:
    """The backup has begun."""

    start_lsn: Lsn
    timeline: Timeline
    tablespaces: tuple[Tablespace, ...]
    estimated_bytes: int


@dataclass(frozen=True, slots=True)
class FileBegun:
    """A file, directory or link; `path` is relative to the data directory.

    Files of a tablespace come as `pg_tblspc/<oid>/...`. `kind`: main (the main fork of a
    relation) | other | directory | link.
    """

    path: str
    size: int
    mode: int
    mtime: int
    kind: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class FileData:
    """Bytes of the file that begun last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnded:
    """All bytes of the file have come; never sent for a directory or link."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The backup is complete, and equal to what the server's own manifest says."""

    stop_lsn: Lsn
    timeline: Timeline
    pg_manifest: bytes


Event = Started | FileBegun | FileData | FileEnded | Ended


@dataclass(frozen=True, slots=True)
class System:
    """IDENTIFY_SYSTEM and the settings that a copy depends on."""

    identifier: int
    timeline: Timeline
    version_number: int
    wal_segment_size: int
    block_size: int
    checksums: bool


def identify(pgconn: pq.abc.PGconn) -> System:
    """Who is at the other end of a replication connection."""
    row = query_rows(pgconn, "IDENTIFY_SYSTEM")[0]
    block_size = int(_show(pgconn, "block_size"))
    if block_size != PAGE:
        raise SourceUnsupported(
            f"the server's block size is {block_size}",
            hint=f"only {PAGE}, PostgreSQL's default, can be backed up",
        )
    return System(
        identifier=int(row[0]),
        timeline=Timeline(int(row[1])),
        version_number=pgconn.server_version,
        wal_segment_size=_bytes(_show(pgconn, "wal_segment_size")),
        block_size=block_size,
        checksums=_show(pgconn, "data_checksums") == "on",
    )


def _show(pgconn: pq.abc.PGconn, setting: str) -> str:
    return query_rows(pgconn, f"SHOW {setting}")[0][0]


def _bytes(text: str) -> int:
    units = {"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    return int(text[:-2]) * units[text[-2:]]


def query_rows(pgconn: pq.abc.PGconn, command: str) -> list[list[str]]:
    result = pgconn.exec_(command.encode())
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise failure(pgconn, f"running {command.split(maxsplit=1)[0]}")
    return _values(result)


def _values(result: pq.abc.PGresult) -> list[list[str]]:
    return [
        [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]


def base_backup(pgconn: pq.abc.PGconn, label: str, *, fast: bool = True) -> Iterator[Event]:
    """Read the whole server. `label` is for people; `fast` asks for an immediate checkpoint.

    Every file's CRC32C is compared with the server's manifest before `Ended` comes out.
    """
    new_protocol = major_of(pgconn.server_version) >= 15
    pgconn.send_query(_command(label, fast=fast, new_protocol=new_protocol).encode())
    start = _values(_expect(pgconn, pq.ExecStatus.TUPLES_OK))[0]
    spaces = _tablespaces(_values(_expect(pgconn, pq.ExecStatus.TUPLES_OK)))
    yield Started(
        start_lsn=lsn_from_text(start[0]),
        timeline=Timeline(int(start[1])),
        tablespaces=tuple(space for space in spaces if space.oid),
        estimated_bytes=sum(space.size for space in spaces),
    )
    checker = _Checker()
    messages = _new_messages(pgconn) if new_protocol else _old_messages(pgconn, spaces)
    yield from checker.watch(messages, {space.location: space.oid for space in spaces})
    stop = _values(_expect(pgconn, pq.ExecStatus.TUPLES_OK))[0]
    _expect(pgconn, pq.ExecStatus.COMMAND_OK)
    while pgconn.get_result() is not None:
        pass
    checker.compare()
    yield Ended(lsn_from_text(stop[0]), Timeline(int(stop[1])), bytes(checker.manifest))


def _command(label: str, *, fast: bool, new_protocol: bool) -> str:
    quoted = "'" + label.replace("'", "''") + "'"
    if new_protocol:
        checkpoint = "fast" if fast else "spread"
        return (
            f"BASE_BACKUP (LABEL {quoted}, PROGRESS, CHECKPOINT '{checkpoint}', WAIT false, "
            "MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')"
        )
    speed = " FAST" if fast else ""
    return (
        f"BASE_BACKUP LABEL {quoted} PROGRESS{speed} NOWAIT MANIFEST 'yes' "
        "MANIFEST_CHECKSUMS 'CRC32C'"
    )


def _expect(pgconn: pq.abc.PGconn, status: pq.ExecStatus) -> pq.abc.PGresult:
    result = pgconn.get_result()
    if result is None or result.status != status:
        raise failure(pgconn, "taking the base backup")
    return result


def _tablespaces(rows: list[list[str]]) -> list[Tablespace]:
    return [
        Tablespace(int(oid or 0), location, int(size or 0) * 1024) for oid, location, size in rows
    ]


def copy_out(pgconn: pq.abc.PGconn) -> Iterator[memoryview]:
    """Messages of one COPY OUT."""
    while True:
        size, data = copy_data(pgconn, 0, "reading the base backup")
        if size < 0:
            return
        yield data


def _new_messages(pgconn: pq.abc.PGconn) -> Iterator[BackupMessage]:
    _expect(pgconn, pq.ExecStatus.COPY_OUT)
    for raw in copy_out(pgconn):
        yield parse_backup_message(raw)


def _old_messages(pgconn: pq.abc.PGconn, spaces: list[Tablespace]) -> Iterator[BackupMessage]:
    for space in spaces:
        _expect(pgconn, pq.ExecStatus.COPY_OUT)
        yield NewArchive(f"{space.oid or 'base'}.tar", space.location)
        for raw in copy_out(pgconn):
            yield ArchiveData(memoryview(raw))
    _expect(pgconn, pq.ExecStatus.COPY_OUT)
    yield ManifestBegins()
    for raw in copy_out(pgconn):
        yield ArchiveData(memoryview(raw))


class _Checker:
    """Turns messages into events and sums every file for the comparison at the end."""

    def __init__(self) -> None:
        self.manifest = bytearray()
        self._sums: dict[str, tuple[int, int]] = {}  # path -> (size, CRC32C)
        self._prefix = ""
        self._path = ""
        self._left = 0
        self._size = 0
        self._crc = 0

    def watch(self, messages: Iterator[BackupMessage], oids: dict[str, int]) -> Iterator[Event]:
        tar: TarReader | None = None
        for message in messages:
            match message:
                case ArchiveData(data) if tar is not None:
                    for item in tar.feed(data):
                        yield from self._events(item)
                case ArchiveData(data):
                    self.manifest += data
                case NewArchive(_, location):
                    if tar is not None:
                        tar.finish()
                    tar = TarReader()
                    self._prefix = f"pg_tblspc/{oids[location]}/" if location else ""
                case ManifestBegins():
                    if tar is not None:
                        tar.finish()
                    tar = None
                case _:
                    continue

    def _events(self, item: Member | memoryview) -> Iterator[Event]:
        if isinstance(item, Member):
            yield self._begin(item)
            if item.kind == "file" and item.size == 0:
                yield self._end()
            return
        data = bytes(item)
        self._crc = google_crc32c.extend(self._crc, data)
        self._left -= len(data)
        yield FileData(data)
        if self._left == 0:
            yield self._end()

    def _begin(self, member: Member) -> FileBegun:
        self._path = self._prefix + member.name
        self._left = self._size = member.size
        self._crc = 0
        kind = member.kind
        if kind == "file":
            kind = "main" if is_main_fork(self._path) else "other"
        return FileBegun(self._path, member.size, member.mode, member.mtime, kind, member.target)

    def _end(self) -> FileEnded:
        self._sums[self._path] = (self._size, self._crc)
        return FileEnded()

    def compare(self) -> PgManifest:
        """What came is what the server says it sent; Corrupt names the first file that is not."""
        told = parse_pg_manifest(bytes(self.manifest))
        for file in told.files.values():
            size, crc = self._sums.get(file.path, (-1, -1))
            if size != file.size or (file.crc32c is not None and crc != file.crc32c):
                raise Corrupt(
                    f"{file.path} did not arrive as the server sent it",
                    hint="the backup is tried again; if it happens twice, test the network",
                )
        return told


def is_main_fork(path: str) -> bool:
    """Whether a path is a segment of a relation's main fork (base/5/1259, base/5/1259.1)."""
    directory, _, name = path.rpartition("/")
    inside = directory == "global" or directory.startswith(("base/", "pg_tblspc/"))
    first, _, segment = name.partition(".")
    return inside and first.isdigit() and (not segment or segment.isdigit())
