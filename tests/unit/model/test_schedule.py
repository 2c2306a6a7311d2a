"""Repeating intervals: anchored, right across month ends and daylight saving."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.protection.schedule import Repeating, zone_of
from zones import ZONES


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


@pytest.mark.parametrize(
    ("start", "zone"),
    [("9999-12-31T23:59:00", "Asia/Tokyo"), ("0001-01-01T00:00:00", "US/Hawaii")],
)
def test_a_start_beyond_the_calendar_of_its_zone_is_refused(start: str, zone: str) -> None:
    with pytest.raises(Invalid):
        Repeating.parse(f"R/{start}+00:00/P1D", zone)


def test_the_end_of_the_calendar_ends_a_schedule() -> None:
    found = Repeating.parse("R/9999-12-30T00:00:00+00:00/P1D")
    assert len(list(found.after(Instant.parse_iso("2026-01-01T00:00:00Z")))) == 2


def test_a_repeated_hour_fires_once_at_the_offset_of_the_start() -> None:
    after = "2026-10-24T12:00:00Z"
    winter = first("R/2026-01-10T01:30:00+00:00/P1D", after, 2, "Europe/Berlin")
    summer = first("R/2026-07-10T00:30:00+00:00/P1D", after, 2, "Europe/Berlin")
    assert winter == ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]
    assert summer == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]


def test_a_start_in_the_second_of_a_repeated_hour_fires_then_and_never_before() -> None:
    start = "2028-01-23T02:00:00+00:00"  # 02:00 for the second time in Casablanca
    found = first(f"R/{start}/P1D", "2028-01-22T12:00:00Z", 2, "Africa/Casablanca")
    assert found[0] == "2028-01-23T02:00:00Z"


def test_windows_zone_names_are_understood() -> None:
    assert zone_of("w. europe standard TIME") == "Europe/Berlin"
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
        "R/2026-01-01T00:00:00+00:00/PT3600.5S",
        "R/2026-01-01T02:00:00/P1D",
        "R/2026-02-30T02:00:00+00:00/P1D",
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


@given(st.text(max_size=40))
def test_any_text_is_a_zone_or_a_typed_refusal(text: str) -> None:
    try:
        zone_of(text)
    except Invalid:
        return


# Hypothesis wants naive ends.
_START, _END = datetime(1999, 1, 1), datetime(2032, 1, 1)  # noqa: DTZ001
PERIODS = [
    ("P1D", 0, 1),
    ("P3D", 0, 3),
    ("P1W", 0, 7),
    ("P1M", 1, 0),
    ("P6M", 6, 0),
    ("P1Y", 12, 0),
    ("P4Y", 48, 0),
    ("P1M1D", 1, 1),
]


def slow_nth(anchor: datetime, months: int, days: int, k: int) -> datetime:
    """The k-th time by the standard library: the wall clock's date moved, the hour kept."""
    total = anchor.year * 12 + anchor.month - 1 + months * k
    year, month = divmod(total, 12)
    day = min(anchor.day, monthrange(year, month + 1)[1])
    moved = anchor.replace(tzinfo=None, year=year, month=month + 1, day=day)
    moved = (moved + timedelta(days=days * k)).replace(tzinfo=anchor.tzinfo)
    # In a gap the clock goes on by the gap; of a repeated hour it is the one with the offset of
    # the start, if either has it, else the first.
    passes = [moved.replace(fold=0), moved.replace(fold=1)]
    there = passes[0].astimezone(UTC).astimezone(anchor.tzinfo)
    is_gap = there.replace(tzinfo=None) != moved.replace(tzinfo=None)
    if not is_gap and anchor.utcoffset() == passes[1].utcoffset():
        return passes[1].astimezone(UTC)
    return passes[0].astimezone(UTC)


@settings(max_examples=300)
@given(
    zone=st.sampled_from(ZONES),
    start=st.datetimes(_START, _END),
    period=st.sampled_from(PERIODS),
    days=st.integers(-40, 4000),
)
def test_every_time_is_the_one_that_a_slow_calendar_names(
    zone: str, start: datetime, period: tuple[str, int, int], days: int
) -> None:
    start = start.replace(microsecond=0, tzinfo=UTC)
    text, months, plus = period
    rule = Repeating.parse(f"R/{start.isoformat()}/{text}", zone)
    anchor = start.astimezone(ZoneInfo(zone))
    moment = start + timedelta(days=days)
    expected = []
    k = 0
    while len(expected) < 5:
        time = slow_nth(anchor, months, plus, k)
        if time > moment:
            expected.append(time)
        k += 1
    found = list(islice(rule.after(Instant(moment)), 5))
    assert [time.to_stdlib() for time in found] == expected
    last = found[-1]
    assert list(rule.between(Instant(moment), last)) == found
    assert all(a < b for a, b in pairwise(found))


@given(repeats=st.integers(0, 9), days=st.integers(-3, 12))
def test_repeats_are_counted_from_the_start(repeats: int, days: int) -> None:
    rule = Repeating.parse(f"R{repeats}/2028-02-28T00:00:00+00:00/P1D")
    moment = Instant.parse_iso("2028-02-28T00:00:00Z").add(hours=24 * days)
    assert len(list(rule.after(moment))) == max(0, min(repeats + 1, repeats - days))
