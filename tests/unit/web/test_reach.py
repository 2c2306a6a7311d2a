"""The bars of how far points reach: one axis for all, from year to year."""

from whenever import Instant

from strongroom.control.overview.footprints import Footprint
from strongroom.web.portal.reach import WIDTH, axis_of

NOW = Instant.from_utc(2026, 7, 2, hour=12)  # the middle of the year


def test_all_bars_share_an_axis_of_whole_years() -> None:
    old = Footprint(Instant.from_utc(2022, 7, 1), Instant.from_utc(2029, 3, 1), 1)
    young = Footprint(Instant.from_utc(2026, 7, 1), Instant.from_utc(2026, 8, 1), 1)
    axis = axis_of([old, young, Footprint(None, None, 0)], NOW)
    assert (axis.start, axis.end) == (Instant.from_utc(2022, 1, 1), Instant.from_utc(2030, 1, 1))
    long = axis.bar(Instant.from_utc(2022, 1, 1), Instant.from_utc(2030, 1, 1))
    assert (long.first, long.last) == (0, WIDTH)
    assert long.now == 54.0  # four years and a half of eight


def test_a_bar_is_never_too_short_to_be_seen_and_none_ends_before_now() -> None:
    day = Footprint(Instant.from_utc(2026, 7, 2), Instant.from_utc(2026, 7, 1), 1)
    axis = axis_of([day], NOW)
    bar = axis.bar(Instant.from_utc(2026, 7, 2, hour=11), Instant.from_utc(2026, 7, 1))
    assert (bar.first, bar.now, bar.last) == (47.0, 48.0, 48.0)


def test_without_points_there_is_an_axis_all_the_same() -> None:
    axis = axis_of([], NOW)
    assert (axis.start, axis.end) == (Instant.from_utc(2026, 1, 1), Instant.from_utc(2027, 1, 1))
