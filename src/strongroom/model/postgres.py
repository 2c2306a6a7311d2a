"""PostgreSQL's own words: positions in the write-ahead log, timelines, versions."""

import re
from typing import NewType

from strongroom.model.errors import Invalid

Lsn = NewType("Lsn", int)  # 64 bits: a byte position in the write-ahead log
Timeline = NewType("Timeline", int)  # 32 bits
SystemIdentifier = NewType("SystemIdentifier", int)  # 64 bits, made by initdb

OLDEST_MAJOR = 14
NEWEST_MAJOR = 18
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
PAGE = 8192  # bytes; a server with another block size is refused
_NEVER_ZERO = 19  # the high half of pd_pagesize_version, where a page has been filled


def lsn_from_text(text: str) -> Lsn:
    """`16/B374D848` -> Lsn. Source: PostgreSQL manual, pg_lsn type."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise Invalid(f"not a WAL position: {text[:40]!r}")
    return Lsn(int(found[1], 16) << 32 | int(found[2], 16))


def lsn_to_text(lsn: Lsn) -> str:
    """Lsn -> `16/B374D848`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def major_of(version_number: int) -> int:
    """`server_version_num` (150018) -> major version (15)."""
    return version_number // 10000


def fills_every_page(data: memoryview) -> bool:
    """Whether it is whole pages and none of them zeros, told by one byte of each. False says less:

    only whoever looks at the whole page knows. Source: src/include/storage/bufpage.h.
    """
    return len(data) % PAGE == 0 and 0 not in data[_NEVER_ZERO::PAGE].tobytes()
