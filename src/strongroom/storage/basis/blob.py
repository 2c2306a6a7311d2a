"""The facts that the ledger keeps of a container and of a blob."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from whenever import Instant


@dataclass(frozen=True, slots=True)
class Container:
    """A container: `metadata` names are in lower case."""

    name: str
    created: Instant
    metadata: Mapping[str, str]

    @property
    def etag(self) -> str:
        """Stable: nothing about a container changes."""
        return f'"0x{self.created.timestamp(unit="nanosecond"):X}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a writer says of a blob beside its bytes.

    `headers`: content-type, content-encoding, content-language, content-disposition and
    cache-control, those that were given.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A committed blob. `blake3` is of its bytes, `md5` only when the writer asked for it.

    `incoming` names the file in `incoming/` that still has to get its final place, `version` what
    the back end reads it by, if it has versions.
    """

    container: str
    name: str
    size: int
    blake3: bytes
    md5: bytes | None
    facts: Facts
    created: Instant
    incoming: str | None = None
    version: str = ""

    @property
    def etag(self) -> str:
        """Of the content, so it is the same after any restart."""
        return f'"0x{self.blake3[:8].hex().upper()}"'

    @property
    def content_type(self) -> str:
        """As Azure: application/octet-stream when nobody said."""
        return self.facts.headers.get("content-type", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a listing should hold: names with a prefix, after `after`, from `start` on."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    start: str = ""
    limit: int = 5000


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a listing in name order: blobs, and the common prefixes of a delimiter.

    `after` is where the next page goes on, or None at the end.
    """

    blobs: tuple[Blob, ...]
    prefixes: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What re-reading a blob's bytes found. `blake3` is of what is there now, if anything is."""

    container: str
    name: str
    state: str  # ok | missing | corrupt
    size: int | None = None
    blake3: bytes | None = None
