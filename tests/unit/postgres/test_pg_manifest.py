"""PostgreSQL's backup_manifest: read only when its own checksum agrees."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pg_manifests import pg_manifest_of, seal_manifest
from strongroom.model.errors import Corrupt
from strongroom.postgres.wire.pg_manifest import parse_pg_manifest

CONTENTS = {"PG_VERSION": b"17\n", "base/5/1259": b"\1" * 8192, "empty": b""}


def test_files_sizes_and_sums_are_read():
    told = parse_pg_manifest(pg_manifest_of(CONTENTS, [(1, "0/2000028", "0/2000100")]))
    assert set(told.files) == set(CONTENTS)
    assert told.files["empty"].crc32c == 0
    assert told.files["base/5/1259"].size == 8192
    assert told.wal_ranges == [(1, "0/2000028", "0/2000100")]
    assert told.system_identifier is None


def test_version_2_names_the_system():
    raw = pg_manifest_of(CONTENTS, version=2, **{"System-Identifier": 7712015085230383564})
    assert parse_pg_manifest(raw).system_identifier == 7712015085230383564


def test_another_version_is_refused_by_number():
    with pytest.raises(Corrupt, match="version 3"):
        parse_pg_manifest(pg_manifest_of(CONTENTS, version=3))


@settings(deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed(data):
    raw = bytearray(pg_manifest_of(CONTENTS))
    place = data.draw(st.integers(0, len(raw) - 2))  # the last is the newline
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Corrupt):
        parse_pg_manifest(bytes(raw))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"Files": 1e999}')
def test_noise_is_corrupt(raw):
    with pytest.raises(Corrupt):
        parse_pg_manifest(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["Path", "Size", "Checksum", "Checksum-Algorithm", "Encoded-Path"]), JSON)
@example("Size", -1)
@example("Size", 1 << 200)
@example("Checksum", "zz")
@example("Checksum", "00")
@example("Path", "")
def test_a_field_of_another_shape_is_read_or_corrupt(field, value):
    told = json.loads(pg_manifest_of(CONTENTS))
    del told["Manifest-Checksum"]
    told["Files"][0][field] = value
    try:
        parse_pg_manifest(seal_manifest(told))
    except Corrupt:
        return


def test_a_file_named_twice_is_corrupt():
    told = json.loads(pg_manifest_of(CONTENTS))
    del told["Manifest-Checksum"]
    told["Files"].append(told["Files"][0])
    with pytest.raises(Corrupt, match="twice"):
        parse_pg_manifest(seal_manifest(told))


def test_a_name_that_is_no_utf8_keeps_its_bytes():
    told = json.loads(pg_manifest_of({"x": b""}))
    del told["Manifest-Checksum"], told["Files"][0]["Path"]
    told["Files"][0]["Encoded-Path"] = b"\xff/y".hex()
    (path,) = parse_pg_manifest(seal_manifest(told)).files
    assert path.encode("utf-8", "surrogateescape") == b"\xff/y"


def test_without_a_sum_only_the_size_is_known():
    told = json.loads(pg_manifest_of({"x": b"abc"}))
    del told["Manifest-Checksum"], told["Files"][0]["Checksum"]
    del told["Files"][0]["Checksum-Algorithm"]
    file = parse_pg_manifest(seal_manifest(told)).files["x"]
    assert (file.size, file.crc32c) == (3, None)


def test_a_file_without_a_name_is_corrupt():
    told = json.loads(pg_manifest_of({"x": b""}))
    del told["Manifest-Checksum"], told["Files"][0]["Path"]
    with pytest.raises(Corrupt, match="without a name"):
        parse_pg_manifest(seal_manifest(told))
