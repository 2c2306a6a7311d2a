"""What a writer reports: sealed like a manifest, never a recovery point by itself.

A full backup's delta is all there is. An incremental one leans on a parent: files that it does not
name stay as they were, files in `gone` go, and of a file in `kept` it brings only what changed.
Laying it over the parent gives a manifest that needs the parent no more.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import (
    VERSION,
    FileFacts,
    Manifest,
    PackFacts,
    PagePart,
    PointFacts,
    Size,
    Source,
    Written,
    check_map,
    check_parts,
)
from strongroom.datastore.maps.overlay import Tree, covered_bytes, laid_over
from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.pack import (
    DELTA,
    open_content_key,
    pack_bytes,
    read_header,
    unpack_bytes,
)
from strongroom.datastore.packs.seal import KeyPair, PublicKey
from strongroom.model.errors import Corrupt
from strongroom.model.ids import PackId, uuid7
from strongroom.model.seams import Chance, Clock


class Delta(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Files with the extents that were written for them.

    kept: index of a file -> bytes at its beginning that stay the parent's where no extent of this
    delta lies; what neither covers reads as zeros. A file that is not in `kept` is whole.
    gone: paths of the parent that are no more.
    page_versions, page_parts: as in the manifest; the parent's do not count any more.
    chunks, reused: of a dump, the chunks that were written, and the stretches of its files that
    are chunks of the parent (chunks.py). dump_map.py alone lays such a delta over its parent.
    """

    version: int
    source: Source
    files: list[FileFacts]
    extents: dict[str, bytes]
    packs: list[PackFacts]
    pg_manifest: bytes
    kept: dict[int, Size] = {}
    gone: list[str] = []
    page_versions: dict[str, bytes] = {}
    page_parts: list[PagePart] = []
    chunks: dict[str, bytes] = {}
    reused: dict[str, bytes] = {}


def delta_of(
    written: Written,
    source: Source,
    pg_manifest: bytes,
    gone: Sequence[str] = (),
    page_versions: Mapping[str, bytes] = MappingProxyType({}),
) -> Delta:
    """What a writer wrote, with what the server says of it."""
    return Delta(
        version=VERSION,
        source=source,
        files=written.files,
        extents=written.extents,
        packs=written.packs,
        pg_manifest=pg_manifest,
        kept=written.kept,
        gone=list(gone),
        page_versions=dict(page_versions),
    )


def of_whole_tree(delta: Delta, parent: Manifest) -> Delta:
    """The delta of a writer that names every file of the tree: what it does not name is gone."""
    named = {file.path for file in delta.files}
    gone = [file.path for file in parent.files if file.path not in named]
    return msgspec.structs.replace(delta, gone=gone)


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
    check_map(delta.files, delta.extents, delta.packs)
    check_parts(delta.packs, delta.page_parts)
    if any(not 0 <= index < len(delta.files) for index in delta.kept):
        raise Corrupt("a delta keeps a part of a file that it does not name")
    return delta


def lay_over(delta: Delta, facts: PointFacts, parent: Manifest | None = None) -> Manifest:
    """The synthetic-full manifest: the parent's files with the delta's over them.

    Without a parent the delta is a full backup: all of every file must be there. Raises Corrupt
    when they do not fit together; whether a parent may serve (system identifier apart, which is
    compared here) is the caller's decision.
    """
    rows = check_map(delta.files, delta.extents, delta.packs)
    _check_whole(delta, rows)
    if parent is None:
        if delta.kept or delta.gone:
            raise Corrupt("an incremental delta was given no parent")
        return _manifest(delta, facts, delta.files, delta.extents, delta.packs)
    if parent.source.system_identifier != delta.source.system_identifier:
        raise Corrupt("the delta is of another server than its parent")
    tree, packs = _tree(parent, delta), [*parent.packs, *delta.packs]
    extents, packs = laid_over(tree, parent.all_extents(), rows, packs, len(parent.packs))
    return _manifest(delta, facts, tree.files, extents, packs)


def _manifest(
    delta: Delta,
    facts: PointFacts,
    files: list[FileFacts],
    extents: dict[str, bytes],
    packs: list[PackFacts],
) -> Manifest:
    generations = {pack.generation for pack in [*delta.packs, *delta.page_parts]}
    if len(generations) > 1 or (facts.generation and generations - {facts.generation}):
        raise Corrupt("a delta names packs of more than its own generation")
    generation = facts.generation or next(iter(generations), "")
    return Manifest(
        version=VERSION,
        facts=msgspec.structs.replace(facts, generation=generation),
        source=delta.source,
        files=files,
        extents=extents,
        packs=packs,
        pg_manifest=delta.pg_manifest,
        page_versions=delta.page_versions,
        page_parts=delta.page_parts,
    ).check()


def _check_whole(delta: Delta, rows: Extents) -> None:
    """Every byte of a file that leans on no parent has been written."""
    covered = covered_bytes(rows, len(delta.files))
    for index, file in enumerate(delta.files):
        if index not in delta.kept and covered[index] != file.size:
            raise Corrupt(f"{file.path} was not written whole")


def _tree(parent: Manifest, delta: Delta) -> Tree:
    """The parent's files in their order, with the delta's in their places; new ones last."""
    newer = {file.path: index for index, file in enumerate(delta.files)}
    gone = set(delta.gone)
    if not gone.isdisjoint(newer):
        raise Corrupt("a delta names a file that it says is gone")
    tree = Tree([], [], [], [-1] * len(parent.files), [-1] * len(delta.files))
    for index, file in enumerate(parent.files):
        if file.path in gone:
            continue
        tree.older[index] = len(tree.files)
        over = newer.pop(file.path, None)
        if over is None:
            tree.add(file, file.size, file.size)
        else:
            tree.newer[over] = len(tree.files)
            kept = delta.kept.get(over, 0)
            tree.add(delta.files[over], max(file.size, delta.files[over].size), kept)
    for index in newer.values():
        if index in delta.kept:
            raise Corrupt(f"the parent has no {delta.files[index].path} to keep a part of")
        tree.newer[index] = len(tree.files)
        tree.add(delta.files[index], delta.files[index].size, 0)
    return tree
