"""What reading a server yields: the base backup and the write-ahead log speak the same events.

    Started (Warned | FileBegun (FilePart* FileEnded)? | ManifestData)* Ended
    FilePart = FileData | FilePages

`FileEnded` and what comes before it follow only files (main, other, wal), never directories or
links; `FilePages` only those that come in part, and `FileData` only those that come whole. Bytes
are memoryviews of what arrived; keeping one keeps its message (about 32 KiB) in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from strongroom.model.errors import VaultError
from strongroom.model.postgres import Lsn, SystemIdentifier, Timeline

FileKind = Literal["main", "other", "wal", "directory", "link"]


@dataclass(frozen=True, slots=True)
class Tablespace:
    """A tablespace of the source; `size` in bytes, as the server estimates it."""

    oid: int
    location: str
    size: int


@dataclass(frozen=True, slots=True)
class Started:
    """The backup has begun; `estimated_bytes` is the sum over all tablespaces.

    `by_summaries`: the server sends only what its WAL summaries say has changed. `refused`: why it
    does not, in its own words, when it was asked to.
    """

    start_lsn: Lsn
    timeline: Timeline
    tablespaces: tuple[Tablespace, ...]
    estimated_bytes: int
    system_identifier: SystemIdentifier
    version_number: int  # server_version_num, 150018
    wal_segment_size: int  # bytes
    checksums: bool
    by_summaries: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should mend, and that did not keep the backup from being taken."""

    warning: VaultError


@dataclass(frozen=True, slots=True)
class FileBegun:
    """An entry of the tree; `path` is relative to the data directory, valid UTF-8, clean.

    Files of a tablespace come as `pg_tblspc/<oid>/...`, its link as `pg_tblspc/<oid>` with kind
    link. `main` is a segment of a relation's main fork. `mtime`: seconds since 1970. `kept`: the
    file comes in part, and so many bytes of the parent's stay where nothing comes.
    """

    path: str
    size: int
    mode: int
    mtime: int
    kind: FileKind
    link: str = ""
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class FileData:
    """Bytes of the file that began last, in order."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class FilePages:
    """Whole pages of a file that comes in part, one for each of `blocks`: numbers that ascend."""

    blocks: Sequence[int]
    data: memoryview


@dataclass(frozen=True, slots=True)
class FileEnded:
    """All `size` bytes of the file have come."""


@dataclass(frozen=True, slots=True)
class ManifestData:
    """A piece of PostgreSQL's own backup_manifest; the pieces in order are the whole of it."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class Ended:
    """All has come, and every file is as the server's own manifest says."""

    stop_lsn: Lsn
    timeline: Timeline


WalEvent = FileBegun | FileData | FilePages | FileEnded
Event = Started | Warned | WalEvent | ManifestData | Ended
