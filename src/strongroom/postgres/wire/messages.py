"""Messages inside COPY of the replication protocol.

Source: PostgreSQL manual, "Streaming Replication Protocol".
"""

import struct
from dataclasses import dataclass

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import Lsn


@dataclass(frozen=True, slots=True)
class NewArchive:
    """'n': a tar archive begins; `location` is empty for the data directory itself."""

    name: str
    location: str


@dataclass(frozen=True, slots=True)
class ManifestBegins:
    """'m'."""


@dataclass(frozen=True, slots=True)
class ServerProgress:
    """'p': bytes that the server has sent."""

    done: int


BackupMessage = NewArchive | ManifestBegins | ServerProgress | memoryview
_DATA = ord("d")


def parse_backup_message(raw: bytes | memoryview) -> BackupMessage:
    """One CopyData message of BASE_BACKUP, PostgreSQL 15 and later.

    A memoryview ('d') holds bytes of the archive, or of the manifest after ManifestBegins.
    """
    if raw and raw[0] == _DATA:
        return memoryview(raw)[1:]
    kind = raw[:1]
    if kind == b"n":
        parts = bytes(raw[1:]).split(b"\0")
        if len(parts) != 3 or parts[2]:
            raise Corrupt("a malformed archive message from the server")
        name, location = (part.decode("utf-8", "surrogateescape") for part in parts[:2])
        return NewArchive(name, location)
    if kind == b"m" and len(raw) == 1:
        return ManifestBegins()
    if kind == b"p" and len(raw) == 9:
        return ServerProgress(int.from_bytes(bytes(raw[1:9]), "big"))
    raise Corrupt(f"an unknown message {bytes(kind)!r} in the backup stream")


@dataclass(frozen=True, slots=True)
class WalData:
    """'w': write-ahead log from `start`; `server_end` is how far the server is."""

    start: Lsn
    server_end: Lsn
    data: memoryview


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """'k': nothing to send; answer at once when asked to."""

    server_end: Lsn
    reply_now: bool


def parse_wal_message(raw: bytes | memoryview) -> WalData | KeepAlive:
    """One CopyData message of START_REPLICATION PHYSICAL."""
    if raw[:1] == b"w" and len(raw) >= 25:
        start, end = struct.unpack_from(">QQ", raw, 1)
        return WalData(Lsn(start), Lsn(end), memoryview(raw)[25:])
    if raw[:1] == b"k" and len(raw) == 18:
        (end,) = struct.unpack_from(">Q", raw, 1)
        return KeepAlive(Lsn(end), raw[17] == 1)
    raise Corrupt(f"an unknown message {bytes(raw[:1])!r} in the WAL stream")


def status_update(
    received: Lsn, flushed: Lsn, microseconds: int, *, reply_now: bool = False
) -> bytes:
    """'r': how far we are; `microseconds` since 2000-01-01 UTC; a position of 0 says nothing."""
    return struct.pack(">cQQQQB", b"r", received, flushed, 0, microseconds, reply_now)
