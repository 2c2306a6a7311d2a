"""What a policy will store, if things go on as they did, more slowly, or faster."""

from itertools import pairwise

from whenever import Instant

from strongroom.model.oversight.forecast import (
    NEWEST,
    Measured,
    Taken,
    at_pace,
    measure,
    stored_by_tag,
)
from strongroom.model.points.preview import Preview, preview
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

NOW = Instant.from_utc(2026, 11, 28)
GB = 10**9


def seen(change: int) -> Measured:
    """Thirty days, of which each added a gigabyte to a hundred and put so much."""
    points = [
        Taken(
            at=NOW.subtract(hours=24 * ago),
            ends=NOW.add(hours=24 * 30),
            is_kept=True,
            generation="g",
            is_full=ago == 30,
            stored=100 * GB if ago == 30 else change,
            whole=(100 + (30 - ago)) * GB,
            raw=(100 + (30 - ago)) * GB,
        )
        for ago in range(30, 0, -1)
    ]
    found = measure(points, 130 * GB)
    assert found is not None
    return found


def sums(measured: Measured, ahead: Preview, moments: list[Instant]) -> list[float]:
    """Of all tags, at each moment."""
    return [sum(each.values()) for each in stored_by_tag(measured, ahead, moments)]


def test_half_the_pace_stores_less_and_half_as_much_again_stores_more() -> None:
    ahead = preview(parse_policy(ten_years_policy()), NOW, 10)
    moments = list(ahead.anniversaries())
    slow, same, fast = (
        sums(at_pace(seen(2 * GB), share), ahead, moments) for share in (0.5, 1.0, 1.5)
    )
    assert same == sums(seen(2 * GB), ahead, moments)
    for year in range(len(moments)):
        assert slow[year] < same[year] < fast[year]
    assert all(after > before for before, after in pairwise(same))


def test_what_every_backup_reads_whole_is_read_whole_at_any_pace() -> None:
    whole = seen(200 * GB)
    assert at_pace(whole, 0.5).change == whole.change
    assert at_pace(whole, 0.5).growth == whole.growth / 2
    assert at_pace(seen(100 * GB), 1.5).change == seen(100 * GB).whole  # no more than all of it


def test_what_is_stored_is_told_by_the_tag_that_it_is_kept_for() -> None:
    ahead = preview(parse_policy(ten_years_policy()), NOW, 10)
    moments = [NOW, *ahead.anniversaries()]
    found = stored_by_tag(seen(2 * GB), ahead, moments)
    assert set(found[0]) == {NEWEST, "Default"}
    assert set(found[-1]) == {NEWEST, "Default", "Weekly", "Monthly", "Yearly"}
    yearly = [each["Yearly"] for each in found[1:]]
    assert all(after > before for before, after in pairwise(yearly))  # one more each year
    assert found[-1][NEWEST] > found[0][NEWEST]  # it grows


def test_a_generation_before_the_newest_is_kept_for_whoever_keeps_it_longest() -> None:
    ahead = preview(parse_policy(ten_years_policy()), NOW, 10)
    whole = stored_by_tag(seen(200 * GB), ahead, [list(ahead.anniversaries())[-1]])[0]
    counts = next(iter(ahead.counts([ahead.until])))[1]
    one = whole["Yearly"] / counts["Yearly"]
    assert one > 100 * GB  # each is a full one
    assert whole["Default"] > 10 * one
