"""What lies in a data directory, to be compared with what lies in another."""

import hashlib
import os
import struct
from pathlib import Path

from strongroom.model.postgres import PAGE

# Of no consequence to what a server holds, or made anew by whoever writes a directory.
OF_THE_WRITER = (
    "backup_manifest",
    "pg_wal",
    "postgresql.auto.conf",
    "postgresql.conf",
    "strongroom-start.log",
)


def tree(directory: Path) -> dict[str, str]:
    """Path -> digest of the file, or what it is; tablespaces are walked into by their links."""
    found = {}
    for folder, names, files in os.walk(directory, followlinks=True):
        for name in (*names, *files):
            path = Path(folder) / name
            place = str(path.relative_to(directory))
            if place.split("/", maxsplit=1)[0] in OF_THE_WRITER:
                continue
            is_file = path.is_file()
            found[place] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "folder"
    return found


def differences(one: Path, other: Path) -> dict[str, tuple[str | None, str | None]]:
    """Path -> what it is in each, where they differ."""
    ours, theirs = tree(one), tree(other)
    return {
        path: (ours.get(path), theirs.get(path))
        for path in sorted({*ours, *theirs})
        if ours.get(path) != theirs.get(path)
    }


def masked(file: bytes) -> bytes:
    """Relation pages without hints, which PostgreSQL sets without a word in its log, as it reads.

    Source: PostgreSQL src/backend/access/common/bufmask.c, mask_page_hint_bits, and
    src/backend/access/heap/heapam.c, heap_mask.
    """
    pages = (file[at : at + PAGE] for at in range(0, len(file), PAGE))
    return b"".join(_masked_page(page) for page in pages)


def _masked_page(page: bytes) -> bytes:
    lower, special = struct.unpack_from("<H2xH", page, 12)
    if len(page) < PAGE or not 24 <= lower <= PAGE:
        return page
    found = bytearray(page)
    found[8:10] = bytes(2)  # checksum
    found[10] &= ~3  # free lines, full
    found[20:24] = bytes(4)  # prune xid
    for at in range(24, lower, 4):
        (line,) = struct.unpack_from("<I", page, at)
        offset, state = line & 0x7FFF, line >> 15 & 3
        if special == PAGE and state == 1 and offset + 23 <= PAGE:
            found[offset + 21] &= ~0x0F  # committed or aborted: xmin, xmax
        elif special < PAGE:
            found[at : at + 4] = struct.pack("<I", line & ~(3 << 15))  # a dead index entry
    return bytes(found)
