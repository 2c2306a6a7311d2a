"""Repeating intervals: anchored, right across month ends and daylight saving."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.schedule import Repeating, zone_of


def first(text: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    found = Repeating.parse(text, zone).after(Instant.parse_iso(after))
    return [moment.format_iso() for moment in islice(found, count)]


def test_month_ends_come_back_after_a_short_month() -> None:
    found = first("R/2026-01-31T02:00:00+00:00/P1M", "2026-01-30T00:00:00Z", 4)
    assert [text[:10] for text in found] == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
    ]


def test_a_gap_of_daylight_saving_moves_one_run_and_no_other() -> None:
    found = first("R/2026-03-28T02:30:00+01:00/P1D", "2026-03-27T12:00:00Z", 3, "Europe/Berlin")
    assert found == ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]


def test_windows_zone_names_are_understood() -> None:
    assert zone_of("W. Europe Standard Time") == "Europe/Berlin"
    assert zone_of("") == "UTC"


def test_two_repeats_fire_three_times() -> None:
    assert len(first("R2/2026-01-01T00:00:00+00:00/P1D", "2025-12-01T00:00:00Z", 9)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "R/2026-01-01T00:00:00+00:00",
        "R/2026-01-01/P1D",
        "R/2026-01-01T00:00:00+00:00/P0D",
        "R/2026-01-01T00:00:00+00:00/PT1S",
        "R/2026-01-01T00:00:00+00:00/P-1D",
        "R/13am/P1D",
        "R/2026-01-01T00:00:00+00:00/P9999Y",
        "R99999999/2026-01-01T00:00:00+00:00/P1D",
    ],
)
def test_nonsense_is_refused_at_the_door(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Repeating.parse(text)
    assert refused.value.hint


@given(
    period=st.sampled_from(["PT4H", "P1D", "P1W", "P1M", "P1Y", "P2W"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    days=st.integers(-400, 4000),
)
def test_the_quick_start_finds_what_a_slow_walk_finds(period: str, zone: str, days: int) -> None:
    rule = Repeating.parse(f"R/2026-01-31T02:30:00+00:00/{period}", zone)
    moment = Instant.parse_iso("2026-01-31T02:30:00Z").add(hours=24 * days)
    k = 0
    while rule.nth(k).to_instant() <= moment:
        k += 1
    assert rule.next_after(moment) == rule.nth(k).to_instant()


@given(st.text(max_size=60))
def test_any_text_is_an_interval_or_a_typed_refusal(text: str) -> None:
    try:
        Repeating.parse(text)
    except Invalid:
        return
