"""Rows of catalogues out of pages, and what is no page at all."""

import os

import pytest

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE
from strongroom.postgres.wire.heap import mapped_files, read_named, rows


def _page(*data: bytes) -> bytes:
    page, place, top = bytearray(PAGE), 24, PAGE
    for each in data:
        row = bytes(22) + bytes([24, 0]) + each
        top -= len(row)
        page[top : top + len(row)] = row
        page[place : place + 4] = (top | 1 << 15 | len(row) << 17).to_bytes(4, "little")
        place += 4
    page[12:14] = place.to_bytes(2, "little")
    return bytes(page)


def test_rows_are_read_by_their_line_pointers():
    name = b"shop".ljust(64, b"\0")
    (found,) = map(read_named, rows(_page((16384).to_bytes(4, "little") + name)))
    assert found is not None
    assert (found.oid, found.name) == (16384, "shop")


@pytest.mark.parametrize("page", [b"", bytes(PAGE), b"\xff" * PAGE, b"\x18" * 100])
def test_what_is_no_page_has_no_rows(page):
    assert list(rows(page)) == []


def test_noise_is_read_without_an_error():
    for _ in range(50):
        noise = bytearray(os.urandom(PAGE))
        noise[12:14] = (4096).to_bytes(2, "little")
        for row in rows(bytes(noise)):
            assert read_named(row) is None or len(row) >= 68


@pytest.mark.parametrize("raw", [b"", bytes(512), b"\x17\x27\x59\x00\xff\xff\xff\x00"])
def test_a_map_that_is_none_is_refused(raw):
    with pytest.raises(Corrupt):
        mapped_files(raw)
