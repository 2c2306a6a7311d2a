"""`backup_manifest` of an increment, told anew: it names whole files, as they are after a restore.

Of a file that was read in part PostgreSQL can only give the checksum of that part, and of one that
we kept pages of, that of bytes we do not keep (hint bits): such an entry has its size alone. The
server takes the result as the parent of the next increment, and pg_verifybackup for the restored
directory. Source: PostgreSQL manual, "Backup Manifest Format"; src/common/parse_manifest.c, which
wants the checksum on a line of its own, the last.
"""

import hashlib
import re
from collections.abc import Mapping

import google_crc32c
import msgspec

from strongroom.model.errors import Corrupt
from strongroom.postgres.wire.incremental import whole_name

LABEL = "backup_label"
_MAP = re.compile(r"/[0-9]+_vm(?:\.[0-9]+)?$")


class _Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    path: str = msgspec.field(name="Path", default="")
    encoded: str = msgspec.field(name="Encoded-Path", default="")
    size: int = msgspec.field(name="Size")
    modified: str = msgspec.field(name="Last-Modified", default="")
    algorithm: str = msgspec.field(name="Checksum-Algorithm", default="")
    checksum: str = msgspec.field(name="Checksum", default="")


class _Told(msgspec.Struct, omit_defaults=True, kw_only=True):
    version: int = msgspec.field(name="PostgreSQL-Backup-Manifest-Version")
    identifier: int | None = msgspec.field(name="System-Identifier", default=None)
    files: list[_Entry] = msgspec.field(name="Files")
    ranges: msgspec.Raw = msgspec.field(
        name="WAL-Ranges", default_factory=lambda: msgspec.Raw(b"[]")
    )


def of_whole_files(raw: bytes, sizes: Mapping[str, int], label: bytes | None = None) -> bytes:
    """`sizes`: path -> bytes, of files that came in part; `label`: backup_label, if we changed it.

    `raw` has been read and checked before (pg_manifest.py). Corrupt when it names a part of a
    file that is not in `sizes`.
    """
    told = msgspec.json.decode(raw, type=_Told)
    for entry in told.files:
        whole = whole_name(entry.path)
        if whole is not None and whole not in sizes:
            raise Corrupt(f"{entry.path[:200]!r} is told of and did not come")
        path = whole or entry.path
        if path in sizes:
            entry.path, entry.size = path, sizes[path]
            entry.algorithm = entry.checksum = ""
        elif path == LABEL and label is not None:
            entry.size = len(label)
            entry.algorithm = "CRC32C"
            entry.checksum = google_crc32c.value(label).to_bytes(4, "little").hex()
    return _written(told)


def without_visibility_maps(raw: bytes) -> bytes:
    """What a parent is told to have: no visibility map, so that each of them comes whole.

    Until 2026 PostgreSQL cleared bits of a map in the log of the heap page alone, and no summary
    names the map's page: an increment took the parent's, which calls deleted rows visible.
    """
    told = msgspec.json.decode(raw, type=_Told)
    told.files = [entry for entry in told.files if _MAP.search(entry.path) is None]
    return _written(told)


def _written(told: _Told) -> bytes:
    head = msgspec.json.encode(told)[:-1] + b",\n"
    digest = hashlib.sha256(head).hexdigest().encode()
    return head + b'"Manifest-Checksum": "' + digest + b'"}\n'
