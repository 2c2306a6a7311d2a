"""The complete map of one recovery point: every file, its facts, where its bytes lie.

Synthetic-full: it never names another manifest. The raw stream is msgpack (docs/format.md);
extents are columns of little-endian integers, sorted by (file, file offset).
"""

import array
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import msgspec

from strongroom.datastore.pack import (
    MANIFEST,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.seal import KeyPair, PublicKey
from strongroom.model.errors import Corrupt
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock

FORMAT_NAME = "FORMAT"
FORMAT_LINE = b"strongroom-format 1\n"
VERSION = 1
_COLUMNS = {"file": "I", "offset": "Q", "length": "Q", "pack": "I", "raw": "I"}
_PLAIN = re.compile(r"[0-9A-Za-z-]{1,64}")
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class PointFacts(msgspec.Struct, kw_only=True, frozen=True):
    """What makes a point this one. Times are service time, ISO 8601 UTC."""

    recovery_point_id: str
    instance_id: str
    job_id: str
    taken_at: str
    committed_at: str
    kind: str = "physical"


class Source(msgspec.Struct, kw_only=True, frozen=True):
    """The server that was read."""

    version_number: int
    system_identifier: int
    timeline: int
    start_lsn: int
    stop_lsn: int
    checksums: bool
    block_size: int
    wal_segment_size: int


class FileFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One entry of the tree. kind: main | other | wal | directory | link."""

    path: str
    size: Size
    mode: int
    mtime: int
    kind: str
    link: str = ""


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """`length` bytes of `file` at `offset` are the raw stream of `pack` at `raw`."""

    file: int
    offset: int
    length: int
    pack: int
    raw: int


class PackFacts(msgspec.Struct, kw_only=True, frozen=True):
    """A pack that the point leans on. size and BLAKE3 are of the stored bytes."""

    id: bytes
    generation: str
    size: Size
    blake3: bytes

    @property
    def name(self) -> str:
        """Where it lies in the container."""
        return pack_name(self.generation, self.id)

    @property
    def pack_id(self) -> PackId:
        """The id as a UUID."""
        return PackId(UUID(bytes=self.id))


def pack_name(generation: str, pack_id: bytes) -> str:
    """`g/<generation>/<pack id>.pack`."""
    return f"g/{generation}/{UUID(bytes=pack_id)}.pack"


class Written(msgspec.Struct, kw_only=True):
    """What a writer wrote: files in order, and where their bytes lie."""

    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]


class Manifest(msgspec.Struct, kw_only=True):
    """The map, checked."""

    version: int
    facts: PointFacts
    source: Source
    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    pg_manifest: bytes

    def all_extents(self) -> Iterator[Extent]:
        """Sorted by (file, offset)."""
        return unpack_extents(self.extents)

    def same_content(self, other: "Manifest") -> bool:
        """Whether both describe the same bytes; the time of the commit may differ."""
        ours = msgspec.structs.replace(self.facts, committed_at="")
        theirs = msgspec.structs.replace(other.facts, committed_at="")
        return ours == theirs and (
            (self.source, self.files, self.extents, self.packs, self.pg_manifest)
            == (other.source, other.files, other.extents, other.packs, other.pg_manifest)
        )

    def check(self) -> "Manifest":
        """Every extent lies in its file and names a pack; Corrupt otherwise."""
        if self.version != VERSION:
            raise Corrupt(f"this manifest is version {self.version}, we read version {VERSION}")
        check_packs(self.packs)
        check_extents(self.files, self.extents, len(self.packs))
        return self


def pack_extents(extents: list[Extent]) -> dict[str, bytes]:
    """Rows -> columns, sorted."""
    ordered = sorted(extents, key=lambda e: (e.file, e.offset))
    return {
        name: _little(array.array(code, [getattr(e, name) for e in ordered]))
        for name, code in _COLUMNS.items()
    }


def unpack_extents(columns: dict[str, bytes]) -> Iterator[Extent]:
    """Columns -> rows; Corrupt when they do not fit together."""
    try:
        arrays = [_from_little(code, columns[name]) for name, code in _COLUMNS.items()]
        yield from (Extent(*row) for row in zip(*arrays, strict=True))
    except (KeyError, ValueError) as error:
        raise Corrupt("the columns of extents do not fit together") from error


def _little(values: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _from_little(code: str, raw: bytes) -> "array.array[int]":
    values = array.array(code)
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def check_packs(packs: list[PackFacts]) -> None:
    """Ids and digests have their lengths, no pack comes twice, generations are plain names."""
    for pack in packs:
        if len(pack.id) != 16 or len(pack.blake3) != 32 or not _PLAIN.fullmatch(pack.generation):
            raise Corrupt("a pack is named in no valid way")
    if len({pack.id for pack in packs}) != len(packs):
        raise Corrupt("a pack is named twice")


def check_extents(files: list[FileFacts], columns: dict[str, bytes], packs: int) -> None:
    """Extents are sorted, do not overlap, and stay inside their file."""
    last_file, last_end = -1, 0
    for extent in unpack_extents(columns):
        if extent.file != last_file:
            last_file, last_end = extent.file, 0
        fits = extent.file < len(files) and extent.pack < packs and extent.offset >= last_end
        if not fits or extent.offset + extent.length > files[extent.file].size:
            raise Corrupt("an extent lies outside its file, or over another one")
        last_end = extent.offset + extent.length


def decode_checked(raw: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - the kind given
    """msgpack -> kind, with every failure typed."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Corrupt(f"not a {kind.__name__}: {error}") from error


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
