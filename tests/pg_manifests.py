"""PostgreSQL's backup_manifest for made-up files, as the server writes it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import google_crc32c


def crc_text(content: bytes) -> str:
    return google_crc32c.value(content).to_bytes(4, "little").hex()


def pg_manifest_of(
    contents: Mapping[str, bytes],
    wal: list[tuple[int, str, str]] | None = None,
    version: int = 1,
    **more: Any,
) -> bytes:
    """`wal`: (timeline, start, end)."""
    files = [
        {
            "Path": path,
            "Size": len(content),
            "Last-Modified": "2026-01-01 00:00:00 GMT",
            "Checksum-Algorithm": "CRC32C",
            "Checksum": crc_text(content),
        }
        for path, content in contents.items()
    ]
    ranges = [
        {"Timeline": timeline, "Start-LSN": start, "End-LSN": end}
        for timeline, start, end in wal or []
    ]
    told = {"PostgreSQL-Backup-Manifest-Version": version, **more}
    return seal_manifest({**told, "Files": files, "WAL-Ranges": ranges})


def seal_manifest(told: dict[str, Any]) -> bytes:
    """With the checksum of all before it, as its last line."""
    head = (json.dumps(told)[:-1] + ",\n").encode()
    return head + b'"Manifest-Checksum": "' + hashlib.sha256(head).hexdigest().encode() + b'"}\n'
