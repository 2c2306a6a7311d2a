"""Layers of page versions, one over the other: what a point's file is, and never what it was."""

import struct

import pytest
import zstandard

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE, Lsn
from strongroom.postgres.page_layers import Layer, laid
from strongroom.postgres.page_versions import PageColumns, PagesInPart, ParentPages

ALL = [(0, 9 * PAGE)]
START = Lsn(1000)


def page(lsn: int, checksum: int = 7) -> bytes:
    return struct.pack("<III", lsn >> 32, lsn & 0xFFFFFFFF, checksum).ljust(PAGE, b"x")


def whole(*lsns: int) -> bytes:
    """A record of a file that came whole; 0: a page of zeros."""
    columns = PageColumns()
    columns.add(memoryview(b"".join(page(lsn) if lsn else bytes(PAGE) for lsn in lsns)))
    return Layer({"f": columns.packed()}, (), ())["f"]


def part(**lsns: int) -> bytes:
    """A record of the pages that came: p3=500 is page 3."""
    blocks = [int(name[1:]) for name in lsns]
    pages = PagesInPart()
    pages.add(blocks, memoryview(b"".join(page(n) if n else bytes(PAGE) for n in lsns.values())))
    return Layer({"f": pages.packed()}, {"f"}, ())["f"]


def differing(packed: bytes, *lsns: int) -> list[tuple[int, int]]:
    """Runs of pages that are not known to be what lies there now."""
    now = PageColumns()
    words = now.add(memoryview(b"".join(page(lsn) for lsn in lsns)))
    return list(ParentPages(packed, START).changed(0, words))


def test_a_page_that_came_later_takes_the_place_of_the_one_before():
    found = laid([whole(10, 20, 30), part(p1=500)], 3, ALL)
    assert differing(found, 10, 500, 30) == []
    assert differing(found, 10, 20, 30) == [(1, 2)]


def test_a_page_of_zeros_that_came_later_hides_the_one_before():
    found = laid([whole(10, 20, 30), part(p1=0)], 3, ALL)
    assert differing(found, 10, 20, 30) == [(1, 2)]


def test_a_file_that_came_whole_leaves_nothing_of_what_was_before():
    found = laid([whole(10, 20, 30), whole(10, 0)], 3, ALL)
    assert differing(found, 10, 20, 30) == [(1, 3)]


def test_a_page_that_the_point_does_not_have_is_not_believed_to_be_an_older_one():
    """It was cut off, and came again as zeros that nobody sent."""
    found = laid([whole(10, 20, 30)], 3, [(0, PAGE), (2 * PAGE, 3 * PAGE)])
    assert differing(found, 10, 20, 30) == [(1, 2)]


def test_a_file_that_does_not_end_with_a_page_is_known_no_more():
    odd = Layer({}, (), {"f"})
    assert list(odd) == ["f"]
    assert len(odd) == 1
    assert differing(laid([whole(10, 20), odd["f"]], 2, ALL), 10, 20) == [(0, 2)]


def test_a_file_that_has_become_shorter_or_longer_keeps_what_it_has():
    assert differing(laid([whole(10, 20, 30)], 2, ALL), 10, 20) == []
    assert differing(laid([whole(10, 20)], 3, ALL), 10, 20, 30) == [(2, 3)]


@pytest.mark.parametrize("record", [b"", b"\2" + zstandard.compress(b""), b"\1nonsense"])
def test_what_is_no_record_is_refused(record):
    with pytest.raises(Corrupt):
        laid([record], 1, ALL)
