"""Which pages have changed: the fast way says what a slow one does, page by page."""

import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE
from strongroom.postgres.pages.page_versions import PageColumns, ParentPages

START = 0x1_0000_0010
LSNS = [0, 1, 0x10, 0xFFFFFFFF, START - 1, START, START + 1, (1 << 64) - 1]


def page(lsn: int, checksum: int, flags: int) -> bytes:
    return struct.pack("<IIHH", lsn >> 32, lsn & 0xFFFFFFFF, checksum, flags).ljust(PAGE, b"\7")


def pages() -> st.SearchStrategy[list[tuple[int, int, int]]]:
    one = st.tuples(st.sampled_from(LSNS), st.integers(0, 2), st.integers(0, 1))
    return st.lists(one, min_size=1, max_size=12)


@settings(deadline=None, max_examples=300)
@given(pages(), st.data())
def test_a_page_is_unchanged_only_when_all_words_are_and_the_parent_could_not_tear_it(older, data):
    newer = list(older) + data.draw(pages())
    for place in data.draw(st.lists(st.integers(0, len(older) - 1), max_size=4)):
        newer[place] = data.draw(pages())[0]
    newer = newer[: data.draw(st.integers(1, len(newer)))]
    before = PageColumns()
    before.add(memoryview(b"".join(page(*one) for one in older)))
    parent = ParentPages(before.packed(), START)
    now, found = PageColumns(), set()
    step = data.draw(st.integers(1, 5))
    for first in range(0, len(newer), step):
        raw = b"".join(page(*one) for one in newer[first : first + step])
        for begin, end in parent.changed(first, now.add(memoryview(raw))):
            assert begin < end
            found |= set(range(begin, end))
    assert len(now) == len(newer)
    assert found == {
        number
        for number, one in enumerate(newer)
        if number >= len(older) or one != older[number] or not 0 < one[0] < START
    }


def test_runs_are_joined():
    before = PageColumns()
    words = before.add(memoryview(page(5, 0, 0) * 6))
    parent = ParentPages(before.packed(), START)
    assert not list(parent.changed(0, words))
    after = [page(5, 0, 0)] * 6
    after[1] = after[2] = after[5] = page(6, 0, 0)
    assert list(parent.changed(0, PageColumns().add(memoryview(b"".join(after))))) == [
        (1, 3),
        (5, 6),
    ]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"nothing of the kind",
        zstandard.compress(bytes(11)),
        zstandard.compress(bytes(24))[:-1],
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(24)),
    ],
)
def test_what_is_no_record_of_pages_is_corrupt(packed):
    with pytest.raises(Corrupt):
        ParentPages(packed, START)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw):
    try:
        found = ParentPages(raw, START)
    except Corrupt:
        return
    assert found.count >= 0
