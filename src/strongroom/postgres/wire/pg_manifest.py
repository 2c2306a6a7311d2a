"""PostgreSQL's own `backup_manifest`: what the server says it sent.

Source: PostgreSQL manual, "Backup Manifest Format". Version 1 (13-16) and 2 (17+, with the system
identifier). The last line holds the SHA-256 of all before it.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from strongroom.model.errors import Corrupt

_CHECKSUM = b'"Manifest-Checksum"'


@dataclass(frozen=True, slots=True)
class PgFile:
    """One file as the server read it."""

    path: str  # relative to the data directory
    size: int
    crc32c: int | None  # None where the server was asked for no checksum


@dataclass(frozen=True, slots=True)
class PgManifest:
    """All files of a backup, without the write-ahead log."""

    files: dict[str, PgFile]
    system_identifier: int | None
    wal_ranges: list[tuple[int, str, str]]  # (timeline, start, end)


def parse_pg_manifest(raw: bytes) -> PgManifest:
    """Check the manifest against its own checksum, then read it."""
    try:
        told = json.loads(raw)
        stated = str(told["Manifest-Checksum"])
        place = raw.rindex(_CHECKSUM)
        if hashlib.sha256(raw[:place]).hexdigest() != stated:
            raise Corrupt("backup_manifest does not match its own checksum")
        files = [_file(entry) for entry in told["Files"]]
        ranges = [
            (int(r["Timeline"]), str(r["Start-LSN"]), str(r["End-LSN"]))
            for r in told.get("WAL-Ranges", [])
        ]
        identifier = told.get("System-Identifier")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("backup_manifest cannot be read") from error
    return PgManifest(
        files={file.path: file for file in files},
        system_identifier=None if identifier is None else int(identifier),
        wal_ranges=ranges,
    )


def _file(entry: dict[str, Any]) -> PgFile:
    if "Encoded-Path" in entry:
        path = bytes.fromhex(entry["Encoded-Path"]).decode()
    else:
        path = str(entry["Path"])
    crc = None
    if entry.get("Checksum-Algorithm") == "CRC32C":
        crc = int.from_bytes(bytes.fromhex(entry["Checksum"]), "little")
    return PgFile(path=path, size=int(entry["Size"]), crc32c=crc)
