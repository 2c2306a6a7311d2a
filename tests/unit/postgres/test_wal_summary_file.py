"""WAL summaries as PostgreSQL writes them: every block that was named is found again."""

import struct

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Corrupt, VaultError
from strongroom.postgres.wire.wal_summary_file import (
    SummaryRange,
    parse_wal_summary,
    summary_range,
)

CHUNK = 1 << 16
NO_LIMIT = 0xFFFFFFFF


def chunk(offsets: list[int]) -> bytes:
    """As blkreftable.c keeps it: offsets in the order they came, or a bit for each block."""
    if len(offsets) < CHUNK // 16:
        return np.array(offsets[::-1], dtype="<u2").tobytes()
    bits = np.zeros(CHUNK, dtype=np.uint8)
    bits[offsets] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def summary(forks: list[tuple[tuple[int, int, int, int], int | None, list[int]]]) -> bytes:
    raw = struct.pack("<I", 0x652B137B)
    for names, limit, blocks in forks:
        count = blocks[-1] // CHUNK + 1 if blocks else 0
        chunks = [chunk([b % CHUNK for b in blocks if b // CHUNK == n]) for n in range(count)]
        raw += struct.pack("<6I", *names, NO_LIMIT if limit is None else limit, count)
        raw += b"".join(struct.pack("<H", len(each) // 2) for each in chunks) + b"".join(chunks)
    raw += bytes(24)
    return raw + google_crc32c.value(raw).to_bytes(4, "little")


def forks() -> st.SearchStrategy[list[tuple[tuple[int, int, int, int], int | None, list[int]]]]:
    few = st.sets(st.integers(0, 3 * CHUNK), max_size=30)
    many = st.builds(lambda first: set(range(first, first + 5000)), st.integers(0, 2 * CHUNK))
    blocks = st.builds(sorted, st.one_of(few, st.builds(set.union, few, many)))
    names = st.tuples(*[st.integers(1, 1 << 32)] * 3, st.integers(0, 3))
    limit = st.none() | st.integers(0, 1 << 20)
    return st.lists(st.tuples(names.map(lambda n: tuple(x % NO_LIMIT for x in n)), limit, blocks))


@settings(deadline=None, max_examples=60)
@given(forks())
def test_what_a_summary_names_is_found(told):
    found = [
        ((c.tablespace, c.database, c.relation, c.fork), c.limit, c.blocks.tolist())
        for c in parse_wal_summary(summary(told))
    ]
    assert found == told


@settings(max_examples=200)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_read_or_refused(raw, honest):
    raw = struct.pack("<I", 0x652B137B) + raw
    if honest:
        raw += google_crc32c.value(raw).to_bytes(4, "little")
    try:
        found = list(parse_wal_summary(raw))
    except VaultError:
        return
    assert len(found) <= len(raw) // 24


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"x" + raw[1:],
        lambda raw: raw[:-9],
        lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:],
        lambda raw: b"",
    ],
    ids=["magic", "short", "bit", "empty"],
)
def test_what_is_no_summary_is_corrupt(spoil):
    raw = summary([((1663, 5, 16384, 0), None, [1, 2, 70000])])
    assert len(list(parse_wal_summary(raw))) == 1
    with pytest.raises(Corrupt):
        list(parse_wal_summary(spoil(raw)))


def test_the_name_says_of_which_log_it_is():
    name = "0000000200000001000000280000000102000060.summary"
    assert summary_range(name) == SummaryRange(2, 0x1_00000028, 0x1_02000060)
    assert summary_range("temp.summary") is None
