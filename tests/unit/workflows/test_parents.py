"""When a new generation pays: told from the parent's manifest alone."""

import msgspec

from strongroom.datastore.maps.extents import Extent, columns_of
from strongroom.datastore.maps.manifest import FileFacts, Kind, Manifest, PackFacts, PointFacts
from strongroom.workflows.backup.parents import told_of, why_refresh
from worlds import PG_MANIFEST, SOURCE, point_id

PAGE = 8192
MIB = 1 << 20


def a_manifest(
    extents: list[Extent], raw_sizes: list[int], kind: Kind = "main", size: int = 64 * MIB
) -> Manifest:
    """One file; packs shrink to a quarter."""
    packs = [
        PackFacts(
            id=bytes([number + 65]) * 16,
            generation="g",
            size=raw // 4 or 1000,
            blake3=bytes(32),
            raw_size=raw,
        )
        for number, raw in enumerate(raw_sizes)
    ]
    return Manifest(
        version=1,
        facts=PointFacts(
            recovery_point_id=point_id(1),
            instance_id="i",
            job_id="j",
            taken_at="",
            committed_at="",
            generation="g",
        ),
        source=SOURCE,
        files=[FileFacts(path="base/5/7", size=size, mode=0o600, mtime=0, kind=kind)],
        extents=columns_of(extents),
        packs=packs,
        pg_manifest=PG_MANIFEST,
        page_versions={"base/5/7": b"packed"},
    ).check()


def test_a_fresh_full_backup_needs_no_other():
    extents = [Extent(0, 0, 32 * MIB, 0, 0), Extent(0, 32 * MIB, 32 * MIB, 1, 0)]
    assert why_refresh(a_manifest(extents, [32 * MIB, 32 * MIB])) == ""


def test_packs_of_which_little_is_alive_are_told():
    extents = [Extent(0, 0, 8 * MIB, 0, 0), Extent(0, 8 * MIB, 4 * MIB, 1, 0)]
    why = why_refresh(a_manifest(extents, [32 * MIB, 32 * MIB]))
    assert why == "only 18 % of what the last point holds on to is live"


def test_a_half_that_is_alive_is_enough():
    extents = [Extent(0, 0, 16 * MIB, 0, 0)]
    assert why_refresh(a_manifest(extents, [32 * MIB])) == ""


def test_many_small_pieces_are_told():
    count = 8192
    extents = [Extent(0, n * PAGE, PAGE, n % 2, n // 2 * PAGE) for n in range(count // 2)]
    why = why_refresh(a_manifest(extents, [32 * MIB, 32 * MIB]))
    assert "4096 pieces of 8 KiB" in why


def test_the_log_counts_neither_as_alive_nor_as_dead():
    extents = [Extent(0, 0, MIB, 0, 0)]
    assert why_refresh(a_manifest(extents, [32 * MIB], kind="wal")) == ""


def test_an_older_pack_that_does_not_tell_its_raw_size_counts_as_alive():
    assert why_refresh(a_manifest([Extent(0, 0, MIB, 0, 0)], [0])) == ""


def test_what_an_agent_is_told_of_a_parent_names_no_pack():
    manifest = a_manifest([Extent(0, 0, MIB, 0, 0)], [32 * MIB])
    told = told_of(manifest)
    assert (told.start_lsn, told.timeline) == ("0/2000028", 1)
    assert told.page_versions == {"base/5/7": b"packed"}
    assert manifest.packs[0].id not in msgspec.msgpack.encode(told)
