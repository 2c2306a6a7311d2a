"""Members of an incremental backup, whatever the pieces: the bytes that PostgreSQL meant."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_manifests import pg_manifest_of
from strongroom.model.errors import Corrupt, VaultError
from strongroom.model.postgres import PAGE
from strongroom.postgres.wire.incremental import (
    MAGIC,
    IncrementalFile,
    IncrementalReader,
    whole_name,
)
from strongroom.postgres.wire.incremental_manifest import of_whole_files
from strongroom.postgres.wire.pg_manifest import parse_pg_manifest
from strongroom.postgres.wire.timeline_history import parse_timeline_history


def member(blocks: list[int], truncation: int, magic: int = MAGIC) -> bytes:
    head = struct.pack(f"<III{len(blocks)}I", magic, len(blocks), truncation, *blocks)
    if blocks:
        head += bytes(-len(head) % PAGE)
    return head + b"".join(block.to_bytes(4, "little") * (PAGE // 4) for block in blocks)


def read(raw: bytes, step: int) -> tuple[IncrementalFile | None, dict[int, bytes]]:
    reader = IncrementalReader(len(raw))
    told, end = None, 0
    found: dict[int, bytes] = {}
    for start in range(0, len(raw), step):
        for item in reader.feed(raw[start : start + step]):
            if isinstance(item, IncrementalFile):
                assert told is None
                told = item
                continue
            blocks, pages = item
            assert len(pages) == len(blocks) * PAGE
            for place, number in enumerate(blocks):
                assert number >= end, "it goes back"
                end = number + 1
                found[number] = bytes(pages[place * PAGE : (place + 1) * PAGE])
    reader.finish()
    return told, found


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(0, 40), max_size=6), st.integers(0, 50), st.integers(3000, 60000))
def test_every_block_lands_in_its_place_whatever_the_pieces(blocks, truncation, step):
    ordered = sorted(blocks)
    told, found = read(member(ordered, truncation), step)
    length = max(truncation, ordered[-1] + 1 if ordered else 0)
    assert told == IncrementalFile(size=length * PAGE, kept=truncation * PAGE)
    assert found == {n: n.to_bytes(4, "little") * (PAGE // 4) for n in ordered}


def test_a_head_that_comes_byte_by_byte_is_read():
    raw = member([], 7)
    reader = IncrementalReader(len(raw))
    found = [item for n in range(len(raw)) for item in reader.feed(raw[n : n + 1])]
    reader.finish()
    assert found == [IncrementalFile(size=7 * PAGE, kept=7 * PAGE)]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.integers(1, 40))
def test_any_bytes_are_read_or_refused(raw, step):
    try:
        read(raw, step)
    except VaultError:
        return
    assert raw[:4] == struct.pack("<I", MAGIC)


@pytest.mark.parametrize(
    "raw",
    [
        member([1], 2, magic=1),
        member([2, 1], 3),
        member([1, 1], 3),
        member([1], 3)[:-1],
        member([1], 3) + b"x",
        struct.pack("<III", MAGIC, 1 << 30, 0),
        struct.pack("<III", MAGIC, 0, 1 << 30),
        b"",
    ],
    ids=["magic", "order", "twice", "short", "long", "blocks", "truncation", "empty"],
)
def test_what_is_no_such_member_is_corrupt(raw):
    with pytest.raises(Corrupt):
        read(raw, 1 << 20)


def test_a_member_that_grows_beyond_its_size_is_corrupt():
    reader = IncrementalReader(12)
    with pytest.raises(Corrupt, match="longer"):
        list(reader.feed(bytes(13)))


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("base/5/INCREMENTAL.1259.1", "base/5/1259.1"),
        ("INCREMENTAL.x", "x"),
        ("base/5/1259", None),
        ("base/INCREMENTAL.5/1259", None),
        ("base/5/INCREMENTAL.", None),
    ],
)
def test_names_of_parts_are_told_from_others(path, whole):
    assert whole_name(path) == whole


TOLD = {"backup_label": b"old", "base/5/INCREMENTAL.1259": b"part", "base/5/7": b"same", "x": b"x"}


def test_the_manifest_of_an_increment_is_told_anew_of_whole_files():
    wal = [(1, "0/2000028", "0/2000120")]
    raw = pg_manifest_of(TOLD, wal=wal, version=2, **{"System-Identifier": 7433})
    edited = of_whole_files(raw, {"base/5/1259": 16384, "base/5/7": 4}, b"new label")
    told = parse_pg_manifest(edited)
    assert set(told.files) == {"backup_label", "base/5/1259", "base/5/7", "x"}
    assert (told.files["base/5/1259"].size, told.files["base/5/1259"].crc32c) == (16384, None)
    assert told.files["base/5/7"].crc32c is None
    assert told.files["backup_label"].size == len(b"new label")
    assert told.files["x"] == parse_pg_manifest(raw).files["x"]
    assert (told.system_identifier, told.wal_ranges) == (7433, wal)
    assert "Last-Modified" in json.loads(edited)["Files"][0]
    assert edited.splitlines()[-1].startswith(b'"Manifest-Checksum"'), "the server wants it so"


def test_a_part_that_did_not_come_is_corrupt():
    with pytest.raises(Corrupt, match="did not come"):
        of_whole_files(pg_manifest_of(TOLD), {})


def test_a_timelines_history_is_read():
    raw = b"# a comment\n1\t0/3000000\tno recovery target specified\n\n2\t1/A0\tbefore x\n"
    assert parse_timeline_history(raw) == {1: 0x3000000, 2: 0x1000000A0}


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_history_is_read_or_refused(raw):
    try:
        found = parse_timeline_history(raw)
    except Corrupt:
        return
    assert all(isinstance(lsn, int) for lsn in found.values())
