"""What a writer reports: sealed like a manifest, never a recovery point by itself."""

import msgspec

from strongroom.datastore.manifest import (
    VERSION,
    FileFacts,
    Manifest,
    PackFacts,
    PointFacts,
    Source,
    Written,
    check_extents,
    check_packs,
    decode_checked,
)
from strongroom.datastore.pack import (
    DELTA,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.seal import KeyPair, PublicKey
from strongroom.model.errors import Corrupt
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock


class Delta(msgspec.Struct, kw_only=True):
    """Files with the extents that were written for them."""

    version: int
    source: Source
    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    pg_manifest: bytes


def delta_of(written: Written, source: Source, pg_manifest: bytes) -> Delta:
    """What a writer wrote, with what the server says of it."""
    return Delta(
        version=VERSION,
        source=source,
        files=written.files,
        extents=written.extents,
        packs=written.packs,
        pg_manifest=pg_manifest,
    )


def seal_delta(delta: Delta, public: PublicKey, clock: Clock, chance: Chance) -> bytes:
    """The object `d/<job>.<epoch>.delta`."""
    pack_id = PackId(uuid7(clock.now(), chance))
    return pack_bytes(DELTA, msgspec.msgpack.encode(delta), pack_id, public, chance)


def open_delta(stored: bytes, pair: KeyPair) -> Delta:
    """With the catalogue key; checked like anything from outside."""
    content_key = open_content_key(read_header(stored, DELTA), pair)
    delta: Delta = decode_checked(unpack_bytes(DELTA, stored, content_key), Delta)
    if delta.version != VERSION:
        raise Corrupt(f"this delta is version {delta.version}, we read version {VERSION}")
    check_packs(delta.packs)
    check_extents(delta.files, delta.extents, len(delta.packs))
    return delta


def lay_over(delta: Delta, facts: PointFacts) -> Manifest:
    """The manifest of a full backup: the delta is all there is, and all of it must be there."""
    covered = dict.fromkeys(range(len(delta.files)), 0)
    manifest = Manifest(
        version=VERSION,
        facts=facts,
        source=delta.source,
        files=delta.files,
        extents=delta.extents,
        packs=delta.packs,
        pg_manifest=delta.pg_manifest,
    ).check()
    for extent in manifest.all_extents():
        covered[extent.file] += extent.length
    for index, file in enumerate(manifest.files):
        if covered[index] != file.size:
            raise Corrupt(f"{file.path} was not written whole")
    return manifest
