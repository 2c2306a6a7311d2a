"""What is far from the points before it is told, and what is usual is not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.oversight.anomaly import LEAST_HISTORY, MOST_IN_AN_HOUR, Sample, anomalies

GIB = 1 << 30
USUAL = Sample("Incremental", 40 * GIB, GIB // 2, GIB // 8, "7000")
FULL = replace(USUAL, kind="Full", read_bytes=40 * GIB, stored_bytes=10 * GIB)


def a_month() -> list[Sample]:
    """One full point, and increments that grow and vary by a few percent."""
    grown = [
        replace(
            USUAL,
            raw_bytes=40 * GIB + day * GIB // 5,
            read_bytes=GIB // 2 + (day * 37 % 11) * GIB // 50,
            stored_bytes=GIB // 8 + (day * 17 % 7) * GIB // 100,
        )
        for day in range(29)
    ]
    return [FULL, *grown]


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        (replace(USUAL, raw_bytes=2 * GIB, read_bytes=GIB // 8, stored_bytes=GIB // 32), "size"),
        (replace(USUAL, raw_bytes=120 * GIB), "size"),
        (replace(USUAL, read_bytes=38 * GIB, stored_bytes=9 * GIB), "changed share"),
        (replace(USUAL, stored_bytes=GIB // 2), "hardly compresses"),
        (replace(FULL, stored_bytes=40 * GIB), "hardly compresses"),
        (replace(USUAL, system_identifier="8000"), "another server"),
        (replace(USUAL, damaged_pages={"base/5/1": [7]}), "damaged on the server: base/5/1"),
    ],
    ids=["empty", "bloated", "rewritten", "encrypted", "encrypted full", "exchanged", "bad pages"],
)
def test_what_is_far_from_its_history_is_told_with_what_is_usual(
    strange: Sample, words: str
) -> None:
    (told,) = anomalies(strange, a_month())
    assert words in told


def test_what_ransomware_does_is_told_three_times() -> None:
    encrypted = replace(USUAL, raw_bytes=70 * GIB, read_bytes=70 * GIB, stored_bytes=70 * GIB)
    assert len(anomalies(encrypted, a_month())) == 3


@given(st.floats(0.9, 1.15), st.floats(0.2, 4), st.floats(0.5, 1.4))
def test_an_ordinary_day_is_no_anomaly(size: float, work: float, packed: float) -> None:
    history = a_month()
    last = history[-1]
    read = int(GIB / 2 * work)
    new = replace(
        last,
        raw_bytes=int(last.raw_bytes * size),
        read_bytes=read,
        stored_bytes=int(read / 4 * packed),
    )
    assert anomalies(new, history) == []


def test_a_full_point_among_increments_is_no_anomaly() -> None:
    assert anomalies(replace(FULL, raw_bytes=46 * GIB, read_bytes=46 * GIB), a_month()) == []


def test_a_quiet_day_is_no_anomaly() -> None:
    assert anomalies(replace(USUAL, read_bytes=0, stored_bytes=0), a_month()) == []


def test_too_short_a_history_says_nothing_of_sizes() -> None:
    empty = replace(USUAL, raw_bytes=1)
    history = [USUAL] * LEAST_HISTORY
    assert anomalies(empty, history[1:]) == []
    assert anomalies(empty, history) != []
    assert anomalies(empty, []) == []


def test_a_history_without_any_spread_does_not_make_a_trifle_an_anomaly() -> None:
    history = [USUAL] * 30
    assert anomalies(replace(USUAL, raw_bytes=USUAL.raw_bytes * 11 // 10), history) == []


def test_a_new_normal_that_was_accepted_is_normal() -> None:
    grown = replace(USUAL, raw_bytes=100 * GIB)
    assert anomalies(grown, a_month()) != []
    assert anomalies(grown, [*a_month(), grown]) == []


def test_what_is_damaged_as_it_was_is_told_once() -> None:
    damaged = replace(USUAL, damaged_pages={"base/5/1": [7]})
    assert anomalies(damaged, [USUAL, damaged]) == []
    more = replace(USUAL, damaged_pages={"base/5/1": [7, 8]})
    assert len(anomalies(more, [USUAL, damaged])) == 1


def test_a_dump_is_not_compared_with_files() -> None:
    dump = Sample("Logical", 4 * GIB, 4 * GIB, GIB, "7000")
    assert anomalies(dump, a_month()) == []


def test_a_flood_is_told_however_alike_its_points_are() -> None:
    assert anomalies(USUAL, a_month(), MOST_IN_AN_HOUR - 1) == []
    assert "13 points within an hour" in anomalies(USUAL, a_month(), MOST_IN_AN_HOUR)[0]
