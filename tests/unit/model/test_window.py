"""Maintenance windows, over the days on which the clock changes too."""

import pytest
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.protection.window import Window

NIGHT = Window.parse("22:00-06:00@Europe/Prague")


def at(text: str) -> Instant:
    return Instant.parse_iso(text)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-01-15T20:59:59Z", False),  # 21:59:59 in Prague
        ("2026-01-15T21:00:00Z", True),
        ("2026-01-16T04:59:59Z", True),
        ("2026-01-16T05:00:00Z", False),
        ("2026-07-15T20:00:00Z", True),  # summer: an hour earlier in UTC
        ("2026-07-16T04:00:00Z", False),
        ("2026-03-29T03:59:59Z", True),  # the clock went forward at 01:00Z: it closes at 04:00Z
        ("2026-03-29T04:00:00Z", False),
        ("2026-10-25T04:30:00Z", True),  # the clock went back: the night has an hour more
        ("2026-10-25T05:00:00Z", False),
    ],
)
def test_a_night_is_what_the_clock_on_the_wall_says(moment: str, is_open: bool) -> None:
    assert NIGHT.is_open(at(moment)) is is_open


def test_a_window_that_the_clock_jumps_over_is_not_lost() -> None:
    swallowed = Window.parse("02:10-02:40@Europe/Prague")
    opens = swallowed.next_open(at("2026-03-28T23:00:00Z"))
    assert opens == at("2026-03-29T01:10:00Z")
    assert swallowed.is_open(opens)
    assert not swallowed.is_open(at("2026-03-29T01:40:00Z"))
    half = Window.parse("02:30-03:00@Europe/Prague")
    assert half.is_open(at("2026-03-29T01:45:00Z"))


def test_a_window_in_the_hour_that_comes_twice_opens_once() -> None:
    twice = Window.parse("02:10-02:40@Europe/Prague")
    first = twice.next_open(at("2026-10-24T23:00:00Z"))
    assert first == at("2026-10-25T00:10:00Z")
    assert twice.next_open(at("2026-10-25T00:40:00Z")) == at("2026-10-26T01:10:00Z")


def test_it_opens_at_once_when_it_is_open_and_else_next_time() -> None:
    inside, outside = at("2026-01-15T23:00:00Z"), at("2026-01-15T12:00:00Z")
    assert NIGHT.next_open(inside) == inside
    assert NIGHT.next_open(outside) == at("2026-01-15T21:00:00Z")


def test_a_backup_waits_and_is_missed_only_when_a_window_has_gone_by() -> None:
    due = at("2026-01-15T12:00:00Z")
    assert NIGHT.waiting(due, at("2026-01-15T11:00:00Z")) is None  # not due yet
    assert NIGHT.waiting(due, at("2026-01-15T22:00:00Z")) is None  # it may start
    waits = NIGHT.waiting(due, at("2026-01-15T13:00:00Z"))
    assert waits is not None
    assert not waits.missed
    assert waits.opens == at("2026-01-15T21:00:00Z")
    late = NIGHT.waiting(due, at("2026-01-16T13:00:00Z"))
    assert late is not None
    assert late.missed
    assert late.opens == at("2026-01-16T21:00:00Z")


def test_what_is_read_is_written_the_same_way() -> None:
    assert str(NIGHT) == "22:00-06:00@Europe/Prague"
    assert str(Window.parse("01:00-02:30@Central Europe Standard Time")).startswith("01:00-02:30@")


@pytest.mark.parametrize(
    "text", ["", "22-06", "22:00-06:00", "22:00-22:00@UTC", "24:00-06:00@UTC", "1:00-2:00@UTC",
             "22:00-06:00@Mars/Olympus", "22:00-06:00@"]
)  # fmt: skip
def test_what_is_no_window_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Window.parse(text)
    assert refused.value.hint
