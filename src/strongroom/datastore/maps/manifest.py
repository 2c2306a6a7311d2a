"""The complete map of one recovery point: every file, its facts, where its bytes lie.

Synthetic-full: it never names another manifest. The raw stream is msgpack (docs/format.md), the
extents in it are columns of integers. A stretch of a file that no extent covers reads as zeros.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.pack import (
    MANIFEST,
    MOST_RAW,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.packs.seal import KeyPair, PublicKey
from strongroom.model.errors import Corrupt
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock

FORMAT_NAME = "FORMAT"
FORMAT_LINE = b"strongroom-format 1\n"
VERSION = 1
_PLAIN = re.compile(r"[0-9A-Za-z-]{1,64}")
Kind = Literal["main", "other", "wal", "directory", "link"]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class PointFacts(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What makes a point this one. Times are service time, ISO 8601 UTC.

    generation: the one that its newest packs belong to. `lay_over` refuses a delta that names
    packs of another one, and fills in what is left empty.
    """

    recovery_point_id: str
    instance_id: str
    job_id: str
    taken_at: str
    committed_at: str
    kind: str = "physical"
    generation: str = ""


class Source(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The server that was read."""

    version_number: int
    system_identifier: int
    timeline: int
    start_lsn: int
    stop_lsn: int
    checksums: bool
    block_size: int
    wal_segment_size: int


class FileFacts(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One entry of the tree. kind: main | other | wal | directory | link."""

    path: str
    size: Size
    mode: int
    mtime: int
    kind: Kind
    link: str = ""


class PackFacts(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A pack that the point leans on. size and BLAKE3 are of the stored bytes.

    raw_size: bytes of its raw stream; 0 where it was not recorded.
    """

    id: bytes
    generation: str
    size: Size
    blake3: bytes
    raw_size: Size = 0

    @property
    def name(self) -> str:
        """Where it lies in the container."""
        return pack_name(self.generation, self.id)

    @property
    def pack_id(self) -> PackId:
        """The id as a UUID."""
        return PackId(UUID(bytes=self.id))


class PagePart(
    PackFacts, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A part of the page versions (page_parts.py): its content key, and whose records it holds."""

    key: bytes
    paths: list[str]


def pack_name(generation: str, pack_id: bytes) -> str:
    """`g/<generation>/<pack id>.pack`."""
    return f"g/{generation}/{UUID(bytes=pack_id)}.pack"


class Written(msgspec.Struct, kw_only=True):
    """What a writer wrote: files in order, and where their bytes lie.

    kept: for files that were written in part, the bytes that stay a parent's (delta.py).
    raw_bytes: how many bytes were written, padding apart.
    """

    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    kept: dict[int, int] = {}
    raw_bytes: int = 0


class Contents(
    msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What the server told of itself as the point was taken: for people, and for a new catalogue.

    databases: name -> bytes; extensions: name -> version; tables: (database, `schema.name`,
    bytes, file as the log names it) of the largest; damaged_pages: file -> blocks that were
    damaged there; read_bytes: read and written anew; why_logical: why it is a dump.
    """

    databases: dict[str, int] = {}
    extensions: dict[str, str] = {}
    tables: list[tuple[str, str, int, str]] = []
    damaged_pages: dict[str, list[int]] = {}
    read_bytes: int = 0
    why_logical: str = ""


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The map, checked.

    page_versions: path of a relation's file -> the first words of its pages, compressed: what an
    increment compares with (docs/format.md). Empty where nothing was recorded, or where they are
    too many: then page_parts say where they lie.
    chunks: of a logical point, the table of its chunks (chunks.py), sorted by digest.
    contents: what no restore needs; None where it was not told.
    """

    version: int
    facts: PointFacts
    source: Source
    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    pg_manifest: bytes
    page_versions: dict[str, bytes] = {}
    page_parts: list[PagePart] = []
    chunks: dict[str, bytes] = {}
    contents: Contents | None = None

    @property
    def objects(self) -> list[PackFacts]:
        """All that must lie in storage for it: what its receipt names."""
        return [*self.packs, *self.page_parts]

    def all_extents(self) -> Extents:
        """Sorted by (file, offset)."""
        return Extents.of_columns(self.extents)

    def same_content(self, other: "Manifest") -> bool:
        """Whether both describe the same bytes; when it was committed, and what else was told

        may differ.
        """
        ours, theirs = (
            msgspec.structs.replace(
                each, facts=msgspec.structs.replace(each.facts, committed_at=""), contents=None
            )
            for each in (self, other)
        )
        return ours == theirs

    def check(self) -> "Manifest":
        """Every extent lies in its file and names a pack; Corrupt otherwise."""
        if self.version != VERSION:
            raise Corrupt(f"this manifest is version {self.version}, we read version {VERSION}")
        check_map(self.files, self.extents, self.packs)
        check_parts(self.packs, self.page_parts)
        return self


def check_packs(packs: list[PackFacts]) -> None:
    """Ids and digests have their lengths, no pack comes twice, generations are plain names."""
    for pack in packs:
        if len(pack.id) != 16 or len(pack.blake3) != 32 or not _PLAIN.fullmatch(pack.generation):
            raise Corrupt("a pack is named in no valid way")
    if len({pack.id for pack in packs}) != len(packs):
        raise Corrupt("a pack is named twice")


def check_parts(packs: list[PackFacts], parts: list[PagePart]) -> None:
    """Parts of page versions are no packs, have keys, and no file lies in two of them."""
    check_packs([*packs, *parts])
    paths = [path for part in parts for path in part.paths]
    if len(set(paths)) != len(paths) or any(len(part.key) != 32 for part in parts):
        raise Corrupt("parts of the page versions do not fit together")


def check_files(files: list[FileFacts]) -> None:
    """Paths lie below the data directory, none comes twice, only what holds bytes has a size."""
    if len({file.path for file in files}) != len(files):
        raise Corrupt("a file is named twice")
    for file in files:
        parts = file.path.split("/")
        if "\0" in file.path or not {"", ".", ".."}.isdisjoint(parts):
            raise Corrupt(f"a file lies outside the data directory: {file.path[:200]!r}")
        if file.size and file.kind in {"directory", "link"}:
            raise Corrupt(f"{file.path[:200]!r} is a {file.kind} and has a size")


def tablespace_sizes(files: Iterable[FileFacts]) -> dict[str, int]:
    """Where a tablespace lay -> bytes of the files in it; none: the server had none."""
    found: dict[str, tuple[str, int]] = {}
    for file in files:
        if file.path.startswith("pg_tblspc/"):
            name = file.path.split("/", 2)[1]
            where, size = found.get(name, ("", 0))
            found[name] = (where or file.link, size + file.size)
    return dict(found.values())


def check_map(
    files: list[FileFacts], extents: dict[str, bytes], packs: list[PackFacts]
) -> Extents:
    """Files, packs and extents fit together; Corrupt otherwise."""
    check_files(files)
    check_packs(packs)
    rows = Extents.of_columns(extents)
    rows.check([file.size for file in files], len(packs), MOST_RAW)
    return rows


def seal_manifest(manifest: Manifest, public: PublicKey, clock: Clock, chance: Chance) -> bytes:
    """The object `p/<recovery point id>.manifest`."""
    pack_id = PackId(uuid7(clock.now(), chance))
    return pack_bytes(MANIFEST, msgspec.msgpack.encode(manifest), pack_id, public, chance)


def content_key_of(stored: bytes, pair: KeyPair) -> bytes:
    """The key that opens this one manifest."""
    return open_content_key(read_header(stored, MANIFEST), pair)


def open_manifest(stored: bytes, pair: KeyPair) -> Manifest:
    """With the catalogue key."""
    return open_manifest_with(stored, content_key_of(stored, pair))


def open_manifest_with(stored: bytes, content_key: bytes) -> Manifest:
    """With its content key alone: how an agent opens it."""
    manifest: Manifest = decode_checked(unpack_bytes(MANIFEST, stored, content_key), Manifest)
    return manifest.check()
