"""Sums of parts come to the sum of the whole, wherever it is cut, whatever order they are in."""

from random import Random

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_manifests import pg_manifest_of
from strongroom.model.errors import Corrupt
from strongroom.postgres.part.point_check import PointCheck
from strongroom.postgres.restore.joined_crc import PartSums, joined, of_zeros
from strongroom.postgres.restore.layout import RestoredFile


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_two_sums_make_that_of_both(first: bytes, second: bytes) -> None:
    one, other = google_crc32c.value(first), google_crc32c.value(second)
    assert joined(one, other, len(second)) == google_crc32c.value(first + second)


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 8192, 100_001, (1 << 20) + 1])
def test_zeros_are_summed_without_being_there(length: int) -> None:
    assert of_zeros(length) == google_crc32c.value(bytes(length))


@given(st.permutations(range(6)), st.booleans())
def test_a_file_that_comes_in_any_order_with_a_hole_in_it_is_what_it_was(
    order: list[int], spoilt: bool
) -> None:
    parts = [bytes([65 + number]) * 1000 for number in range(5)]
    content = b"".join(parts[:3]) + bytes(1000) + b"".join(parts[3:])
    told = pg_manifest_of({"base/5/1": content})
    check = PointCheck([RestoredFile("base/5/1", len(content), 0o600, 0, "main")], told, {})
    for number in order:
        piece = content[number * 1000 : (number + 1) * 1000]
        if number == 3:
            continue  # a stretch that no extent covers
        check.write(0, number * 1000, memoryview(b"x" + piece[1:] if spoilt else piece))
    assert check.wrong() == ({0: []} if spoilt else {})
    assert check.wrong({0}) == {}


@given(st.lists(st.integers(1, 9000), min_size=64, max_size=200), st.randoms())
def test_a_file_in_many_parts_with_holes_is_what_it_was(
    lengths: list[int], random: Random
) -> None:
    content, parts = bytearray(), []
    for number, length in enumerate(lengths):
        content += bytes(length % 7 * 1000)  # that no part tells
        parts.append((len(content), bytes([number % 251]) * length))
        content += parts[-1][1]
    content += bytes(len(lengths))
    random.shuffle(parts)
    sums = PartSums()
    for offset, piece in parts:
        sums.note(5, offset, memoryview(piece))
    assert sums.of_file(5, len(content)) == google_crc32c.value(bytes(content))
    sums.note(5, parts[0][0], memoryview(b"x"))
    with pytest.raises(Corrupt, match="twice"):
        sums.of_file(5, len(content))


def test_a_file_that_is_told_and_not_there_is_corrupt() -> None:
    told = pg_manifest_of({"base/5/1": b"", "base/5/2": b"abc"})
    check = PointCheck([RestoredFile("base/5/1", 0, 0o600, 0, "main")], told, {})
    with pytest.raises(Corrupt, match="lacks base/5/2"):
        check.wrong()
