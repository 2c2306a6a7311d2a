"""PostgreSQL's own `backup_manifest`: what the server says it sent.

Source: PostgreSQL manual, "Backup Manifest Format". Version 1 (13-16) and 2 (17+, with the system
identifier). The last line holds the SHA-256 of all before it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import Lsn, SystemIdentifier, Timeline, lsn_to_text

_CHECKSUM = b'"Manifest-Checksum"'
_HEX = "[0-9a-fA-F]*"


class _File(msgspec.Struct, rename={"path": "Path", "encoded": "Encoded-Path"}):
    size: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="Size")
    path: str = ""
    encoded: Annotated[str, msgspec.Meta(pattern=f"^{_HEX}$")] = ""
    algorithm: str = msgspec.field(name="Checksum-Algorithm", default="NONE")
    checksum: Annotated[str, msgspec.Meta(pattern=f"^{_HEX}$")] = msgspec.field(
        name="Checksum", default=""
    )


class _Range(msgspec.Struct):
    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class _Told(msgspec.Struct):
    version: int = msgspec.field(name="PostgreSQL-Backup-Manifest-Version")
    files: list[_File] = msgspec.field(name="Files")
    checksum: str = msgspec.field(name="Manifest-Checksum")
    ranges: list[_Range] = msgspec.field(name="WAL-Ranges", default_factory=list)
    identifier: int | None = msgspec.field(name="System-Identifier", default=None)


@dataclass(frozen=True, slots=True)
class PgFile:
    """One file as the server read it."""

    path: str  # relative to the data directory; bytes that are no UTF-8 as surrogates (PEP 383)
    size: int
    crc32c: int | None  # None where the server was asked for no checksum, or another one


@dataclass(frozen=True, slots=True)
class PgManifest:
    """All files of a backup, without the write-ahead log."""

    files: dict[str, PgFile]
    system_identifier: int | None
    wal_ranges: list[tuple[int, str, str]]  # (timeline, start, end)


def parse_pg_manifest(raw: bytes) -> PgManifest:
    """Check the manifest against its own checksum, then read it. Raises Corrupt."""
    place = raw.rfind(_CHECKSUM)
    try:
        told = msgspec.json.decode(raw, type=_Told)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt("backup_manifest cannot be read") from error
    if hashlib.sha256(raw[:place]).hexdigest() != told.checksum:
        raise Corrupt("backup_manifest does not match its own checksum")
    if told.version not in {1, 2}:
        raise Corrupt(f"backup_manifest is of version {told.version}, we read 1 and 2")
    files = [_file(entry) for entry in told.files]
    by_path = {file.path: file for file in files}
    if len(by_path) != len(files):
        raise Corrupt("backup_manifest names a file twice")
    ranges = [(entry.timeline, entry.start, entry.end) for entry in told.ranges]
    return PgManifest(by_path, told.identifier, ranges)


@dataclass(frozen=True, slots=True)
class TimedFile:
    """One file as we read it; `mtime` in seconds since 1970; no checksum of one read in part."""

    path: str
    size: int
    mtime: int
    crc32c: int | None


def format_pg_manifest(
    files: Sequence[TimedFile],
    identifier: SystemIdentifier | None,
    wal: tuple[Timeline, Lsn, Lsn],
) -> bytes:
    """As the server would have written it: of version 2 with its identifier, of 1 without."""
    timeline, start, end = wal
    head = '"PostgreSQL-Backup-Manifest-Version": 1,\n'
    if identifier is not None:
        head = f'"PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": {identifier},\n'
    listed = ",\n".join(_line(file) for file in files)
    body = (
        f'{{ {head}"Files": [\n{listed}\n],\n"WAL-Ranges": [\n{{ "Timeline": {timeline}, '
        f'"Start-LSN": "{lsn_to_text(start)}", "End-LSN": "{lsn_to_text(end)}" }}\n],\n'
    ).encode()
    return body + _CHECKSUM + f': "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


def _line(file: TimedFile) -> str:
    path = msgspec.json.encode(file.path).decode()
    modified = datetime.fromtimestamp(file.mtime, UTC).strftime("%Y-%m-%d %H:%M:%S GMT")
    entry = f'{{ "Path": {path}, "Size": {file.size}, "Last-Modified": "{modified}"'
    if file.crc32c is None:
        return entry + " }"
    checksum = file.crc32c.to_bytes(4, "little").hex()
    return f'{entry}, "Checksum-Algorithm": "CRC32C", "Checksum": "{checksum}" }}'


def _file(entry: _File) -> PgFile:
    try:
        path = entry.path or bytes.fromhex(entry.encoded).decode("utf-8", "surrogateescape")
        crc = None
        if entry.algorithm == "CRC32C":
            # The server prints its own memory; every platform it runs on today is little endian.
            crc = int.from_bytes(bytes.fromhex(entry.checksum), "little")
            if len(entry.checksum) != 8:
                raise Corrupt(f"backup_manifest holds no CRC32C for {path[:200]!r}")
    except ValueError as error:
        raise Corrupt("backup_manifest holds a broken number") from error
    if not path:
        raise Corrupt("backup_manifest holds a file without a name")
    return PgFile(path=path, size=entry.size, crc32c=crc)
