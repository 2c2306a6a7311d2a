"""BASE_BACKUP as a stream of events. Where the bytes go is not this room's business.

Source: PostgreSQL manual, "Streaming Replication Protocol", BASE_BACKUP; servers before 15 send
one COPY for each tablespace and one for the manifest, later ones a single COPY of typed messages.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import google_crc32c

from strongroom.model.errors import (
    Corrupt,
    Invalid,
    SourceRefused,
    SourceStopped,
    SourceUnsupported,
    VaultError,
)
from strongroom.model.postgres import (
    Lsn,
    Timeline,
    lsn_from_text,
    major_of,
)
from strongroom.postgres.pages.damaged_file import told_by_server
from strongroom.postgres.server.answers import Answers
from strongroom.postgres.server.asked import Asked
from strongroom.postgres.server.connect import Conninfo, replication
from strongroom.postgres.server.events import (
    Ended,
    Event,
    FileBegun,
    FileData,
    FileEnded,
    FileKind,
    ManifestData,
    Started,
    Tablespace,
    Warned,
)
from strongroom.postgres.server.links import refuse_passed_over
from strongroom.postgres.server.replication import Replication
from strongroom.postgres.server.system import System, identify
from strongroom.postgres.wire.messages import (
    BackupMessage,
    ManifestBegins,
    NewArchive,
    parse_backup_message,
)
from strongroom.postgres.wire.pg_manifest import PgManifest, parse_pg_manifest
from strongroom.postgres.wire.tar import Member, TarReader

__all__ = ["BaseBackup", "Event", "Prepare", "base_backup", "is_main_fork"]

CHECKPOINT_SECONDS = 3600.0  # an immediate checkpoint of a large, busy server takes its time
SPREAD_SECONDS = 90000.0  # checkpoint_timeout is at most a day
MOST_MANIFEST_BYTES = 1 << 30
_GATHER = 2 << 20  # bytes: a writer seals so many where they lie, without copying them once more
_READING = "reading the base backup"
_ENDING = "ending the base backup"
_CHECKPOINT = "waiting for the checkpoint"
_NOT_NOW = "55000"  # object_not_in_prerequisite_state
_DAMAGED = "XX001"  # data_corrupted


Prepare = Callable[[Asked, System], bytes]


class BaseBackup(Protocol):
    """How the files of a server are read: `base_backup`, or another with the same events."""

    def __call__(
        self, conninfo: Conninfo, label: str, *, watch: Callable[[], None]
    ) -> Generator[Event, None, None]:
        """Begin; closing the generator gives up."""
        ...


def everything(server: Asked, system: System) -> bytes:
    """No backup_manifest of a parent: all of every file is asked for."""
    del server, system
    return b""


def base_backup(
    conninfo: Conninfo,
    label: str,
    *,
    fast: bool = True,
    watch: Callable[[], None] = lambda: None,
    prepare: Prepare = everything,
) -> Generator[Event, None, None]:
    """Read the whole server, without its write-ahead log.

    `prepare` looks at the server first and gives PostgreSQL's backup_manifest of a parent, to have
    only what has changed since (17 and later), or nothing. A server that cannot serve that parent
    sends everything, and `Started` says why.

    `label` is for people (printable, at most 200 characters); `fast` asks for an immediate
    checkpoint. `watch` is called about once a second while waiting; what it raises ends the
    backup. Every file's size and CRC32C is compared with the server's own manifest before `Ended`.
    Pages that fail the server's own check come as they are, with a `Warned` at the end.

    Raises SourceUnreachable, SourceRefused, SourceUnsupported, SourceStopped, and Corrupt naming
    the file that did not arrive as it was sent.
    """
    if not label.isprintable() or not 1 <= len(label) <= 200:
        raise Invalid("a backup's label is 1 to 200 printable characters")
    with replication(conninfo, watch) as server:
        system = identify(server)
        new_protocol = major_of(server.version_number) >= 15
        begun = _begin(server, label, prepare(server, system), fast=fast)
        start, answers = begun.row, begun.answers
        spaces = [_tablespace(row) for row in answers.next_rows("listing tablespaces")]
        yield Started(
            start_lsn=_lsn(start[0]),
            timeline=Timeline(int(start[1])),
            tablespaces=tuple(space for space in spaces if space.oid),
            estimated_bytes=sum(space.size for space in spaces),
            system_identifier=system.identifier,
            version_number=system.version_number,
            wal_segment_size=system.wal_segment_size,
            checksums=system.checksums,
            by_summaries=begun.by_summaries,
            refused=begun.refused,
        )
        reader = BackupReader({space.location: space.oid for space in spaces})
        if new_protocol:
            more = partial(answers.copied_alike, what=_READING)
            yield from reader.events(_new(answers), more)
        else:
            yield from reader.events(_old(answers, spaces))
        stop = answers.next_rows(_ENDING)[0]
        damaged = _settle(answers, server.warnings)
        reader.compare()
        yield from map(Warned, damaged)
        yield Ended(_lsn(stop[0]), Timeline(int(stop[1])))


@dataclass(frozen=True, slots=True)
class _Begun:
    answers: Answers  # what is to come
    row: list[bytes]  # start LSN and timeline
    by_summaries: bool = False
    refused: str = ""


def _begin(server: Replication, label: str, parent: bytes, *, fast: bool) -> _Begun:
    """The command is under way. A parent that the server cannot serve is told of, not raised."""
    patience = CHECKPOINT_SECONDS if fast else SPREAD_SECONDS
    refused = ""
    if parent:
        try:
            server.upload("UPLOAD_MANIFEST", parent, "giving the server its parent's manifest")
            answers = server.ask(_command(server, label, fast=fast, incremental=True))
            start = answers.next_rows(_CHECKPOINT, patience)[0]
            return _Begun(answers, start, by_summaries=True)
        except SourceRefused as error:
            if error.facts.get("sqlstate") != _NOT_NOW:
                raise
            refused = error.message
    answers = server.ask(_command(server, label, fast=fast))
    return _Begun(answers, answers.next_rows(_CHECKPOINT, patience)[0], refused=refused)


def _command(server: Replication, label: str, *, fast: bool, incremental: bool = False) -> str:
    quoted = "'" + label.replace("'", "''") + "'"
    if major_of(server.version_number) >= 15:
        checkpoint = "fast" if fast else "spread"
        return (
            f"BASE_BACKUP (LABEL {quoted}, PROGRESS, CHECKPOINT '{checkpoint}', WAIT false, "
            f"MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'{', INCREMENTAL' if incremental else ''})"
        )
    speed = " FAST" if fast else ""
    return (
        f"BASE_BACKUP LABEL {quoted} PROGRESS{speed} NOWAIT MANIFEST 'yes' "
        "MANIFEST_CHECKSUMS 'CRC32C'"
    )


def _settle(answers: Answers, warnings: list[str]) -> list[VaultError]:
    """The end of the command -> pages that the server found damaged as it sent them.

    It sends all of them, and the manifest, and where the backup ends; then it says that it failed.
    """
    try:
        answers.settle(_ENDING)
    except SourceStopped as error:
        if error.facts.get("sqlstate") != _DAMAGED:
            raise
        return told_by_server([*warnings, error.message])
    refuse_passed_over(warnings)
    return []


def _lsn(text: bytes) -> Lsn:
    return lsn_from_text(text.decode(errors="replace"))


def _tablespace(row: list[bytes]) -> Tablespace:
    oid, location, kilobytes = row
    place = location.decode("utf-8", "surrogateescape")
    return Tablespace(int(oid or 0), place, int(kilobytes or 0) * 1024)


def _new(answers: Answers) -> Iterator[BackupMessage]:
    """PostgreSQL 15 and later: one COPY of typed messages."""
    answers.begin_copy(_READING)
    for raw in answers.copied(_READING):
        yield parse_backup_message(raw)


def _old(answers: Answers, spaces: list[Tablespace]) -> Iterator[BackupMessage]:
    """PostgreSQL 14: one COPY for each tablespace, one for the manifest."""
    for space in spaces:
        answers.begin_copy(_READING)
        yield NewArchive(f"{space.oid or 'base'}.tar", space.location)
        for raw in answers.copied(_READING):
            yield raw
    answers.begin_copy(_READING)
    yield ManifestBegins()
    for raw in answers.copied(_READING):
        yield raw


class BackupReader:
    """Turns messages into events, and sums every file for the comparison at the end."""

    def __init__(self, oids: dict[str, int]) -> None:
        self._oids = oids  # by location
        self._manifest = bytearray()
        self._sums: dict[str, tuple[int, int]] = {}  # path -> (size, CRC32C)
        self._prefix = ""
        self._path = ""
        self._size = self._left = self._crc = 0
        self._pieces: list[memoryview] = []
        self._gathered_bytes = 0

    def events(
        self,
        messages: Iterator[BackupMessage],
        more: Callable[[int], bytes] = lambda _: b"",
    ) -> Iterator[Event]:
        """All files, then the manifest.

        `more(most)`: past `messages`, what the next of them carry that are like the last one, at
        most so many bytes.
        """
        tar: TarReader | None = None
        for message in messages:
            if isinstance(message, memoryview):
                if tar is None:
                    yield self._take_manifest(message)
                elif tar.inside(len(message)):
                    if self._gather(message):
                        yield self._gathered()
                    yield from self._alike(tar, more)
                else:
                    yield from self._split(tar.feed(message))
            elif isinstance(message, NewArchive):
                _finish(tar)
                tar = TarReader()
                self._prefix = self._prefix_of(message)
            elif isinstance(message, ManifestBegins):
                _finish(tar)
                tar = None
        _finish(tar)

    def _alike(self, tar: TarReader, more: Callable[[int], bytes]) -> Iterator[Event]:
        """Of a long file most messages are looked at together."""
        while data := more(tar.before_end):
            if self._pieces:
                yield self._gathered()
            tar.inside(len(data))
            self._left -= len(data)
            yield self._summed(data)

    def _split(self, items: Iterator[Member | memoryview]) -> Iterator[Event]:
        """A message in which files begin or end."""
        for item in items:
            if isinstance(item, Member):
                yield from self._begin(item)
            else:
                whole = self._gather(item)
                if whole or not self._left:
                    yield self._gathered()
                if not self._left:
                    yield self._end()

    def _prefix_of(self, archive: NewArchive) -> str:
        if not archive.location:
            return ""
        if archive.location not in self._oids:
            raise Corrupt(f"the server sends a tablespace it did not list: {archive.name[:80]!r}")
        return f"pg_tblspc/{self._oids[archive.location]}/"

    def _begin(self, member: Member) -> Iterator[Event]:
        path = self._prefix + member.name.removeprefix("./")
        _check_path(path, member.target)
        if path in self._sums:
            raise Corrupt(f"the server sends {path[:200]!r} twice")
        self._path, self._size, self._left, self._crc = path, member.size, member.size, 0
        kind: FileKind
        if member.kind == "file":
            kind = "main" if is_main_fork(path) else "other"
        else:
            kind = member.kind
        yield FileBegun(path, member.size, member.mode, member.mtime, kind, member.target)
        if member.kind == "file" and member.size == 0:
            yield self._end()

    def _gather(self, data: memoryview) -> bool:
        """Bytes of the current file; whether there are enough of them to be handed on."""
        self._pieces.append(data)
        self._gathered_bytes += len(data)
        self._left -= len(data)
        return self._gathered_bytes >= _GATHER

    def _gathered(self) -> FileData:
        """What was gathered, in one piece: the events of a message each would cost more."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._gathered_bytes = 0
        return self._summed(data)

    def _summed(self, data: bytes) -> FileData:
        self._crc = google_crc32c.extend(self._crc, data)
        return FileData(memoryview(data))

    def _end(self) -> FileEnded:
        self._sums[self._path] = (self._size, self._crc)
        return FileEnded()

    def _take_manifest(self, data: memoryview) -> ManifestData:
        if len(self._manifest) + len(data) > MOST_MANIFEST_BYTES:
            raise SourceUnsupported("the server's backup_manifest is larger than 1 GiB")
        self._manifest += data
        return ManifestData(data)

    def compare(self) -> PgManifest:
        """What came is what the server says it sent, no more, no less."""
        told = parse_pg_manifest(bytes(self._manifest))
        for file in told.files.values():
            size, crc = self._sums.get(file.path, (-1, -1))
            if size != file.size or (file.crc32c is not None and crc != file.crc32c):
                raise Corrupt(
                    f"{file.path} did not arrive as the server sent it",
                    hint="Take the backup again; if it happens twice, test memory and network.",
                    facts={"path": file.path},
                )
        for path in self._sums.keys() - told.files.keys():
            raise Corrupt(
                f"{path} arrived and the server's manifest does not name it",
                hint="Take the backup again; if it happens twice, report it.",
                facts={"path": path},
            )
        return told


def _finish(tar: TarReader | None) -> None:
    if tar is not None:
        tar.finish()


def _check_path(path: str, target: str) -> None:
    try:
        path.encode()
        target.encode()
    except UnicodeEncodeError as error:
        raise SourceRefused(
            f"a name in the data directory is not UTF-8: {path[:200]!r}",
            hint="Move this file out of the data directory, or rename it.",
        ) from error
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise Corrupt(f"the server sends a file outside its data directory: {path[:200]!r}")


def is_main_fork(path: str) -> bool:
    """Whether a path is a segment of a relation's main fork (base/5/1259, base/5/1259.1)."""
    directory, _, name = path.rpartition("/")
    inside = directory == "global" or directory.startswith(("base/", "pg_tblspc/"))
    first, dot, segment = name.partition(".")
    return inside and _digits(first) and (not dot or _digits(segment))


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
