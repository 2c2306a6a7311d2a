"""What retention promises, against an oracle of the standard library alone."""

from calendar import monthrange
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.points.retention import Fire, coming, expiry, tag_for
from strongroom.model.protection.policy import BackupPolicy, Duration, parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy
from zones import ZONES

RULE = "BackupDaily"
# Hypothesis wants naive ends.
_START, _END = datetime(2020, 1, 1), datetime(2040, 1, 1)  # noqa: DTZ001


def a_policy(
    zone: str = "UTC", interval: str = "", kept: dict[str, str] | None = None
) -> BackupPolicy:
    """The built-in policy with another zone, schedule or durations."""
    body: dict[str, Any] = ten_years_policy()
    schedule = body["policyRules"][0]["trigger"]["schedule"]
    schedule["timeZone"] = zone
    if interval:
        schedule["repeatingTimeIntervals"] = [interval]
    for rule in body["policyRules"][1:]:
        if kept and rule["name"] in kept:
            rule["lifecycles"][0]["deleteAfter"]["duration"] = kept[rule["name"]]
    return parse_policy(body)


def tagged(tag: str, priority: int, criteria: dict[str, Any], kept: str) -> BackupPolicy:
    """The built-in policy with one more tag."""
    body: dict[str, Any] = ten_years_policy()
    body["policyRules"][0]["trigger"]["taggingCriteria"].append(
        {"tagInfo": {"tagName": tag}, "taggingPriority": priority, "criteria": [criteria]}
    )
    lifecycle = {"deleteAfter": {"duration": kept}}
    rule = {"objectType": "AzureRetentionRule", "name": tag, "lifecycles": [lifecycle]}
    body["policyRules"].append(rule)
    return parse_policy(body)


def fires(policy: BackupPolicy, start: str, count: int) -> list[Fire]:
    return list(islice(coming(policy, Instant.parse_iso(start)), count))


def slow_add(day: date, years: int, months: int, days: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + years * 12 + months, 12)
    clamped = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    return clamped + timedelta(days=days)


def week_of(day: date) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7)  # the Sunday before


def oracle(days: list[date]) -> list[str]:
    """The tags of points taken on these days: yearly before monthly before weekly."""
    years: set[int] = set()
    months: set[tuple[int, int]] = set()
    weeks: set[date] = set()
    told = []
    for day in days:
        month, week = (day.year, day.month), week_of(day)
        if day.year not in years:
            told.append("Yearly")
        elif month not in months:
            told.append("Monthly")
        elif week not in weeks:
            told.append("Weekly")
        else:
            told.append("Default")
            continue
        years.add(day.year)
        months.add(month)
        weeks.add(week)
    return told


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    start=st.dates(date(2019, 1, 1), date(2040, 12, 1)),
    hour=st.integers(0, 23),
    period=st.sampled_from(["P1D", "PT12H", "P2D", "P1W"]),
)
def test_every_point_gets_the_tag_that_the_calendar_names(
    zone: str, start: date, hour: int, period: str
) -> None:
    policy = a_policy(zone, f"R/{start}T{hour:02}:30:00+00:00/{period}")
    found = fires(policy, f"{start - timedelta(days=1)}T00:00:00Z", 120)
    local = [f.at.to_stdlib().astimezone(ZoneInfo(zone)).date() for f in found]
    assert [f.verdict.tag for f in found] == oracle(local)


@settings(max_examples=60, deadline=None)
@given(zone=st.sampled_from(ZONES), seed=st.integers(0, 10_000), lost=st.sets(st.integers(0, 99)))
def test_lost_nights_move_a_first_to_the_next_point_and_lose_no_period(
    zone: str, seed: int, lost: set[int]
) -> None:
    policy = a_policy(zone)
    start = datetime(2024, 1, 1, 2, tzinfo=UTC) + timedelta(days=seed % 1500)
    times = [start + timedelta(days=n) for n in range(100) if n not in lost]
    points: list[tuple[Instant, str]] = []
    for time in times:
        points.append((Instant(time), tag_for(policy, RULE, Instant(time), points).tag))
    local = [time.astimezone(ZoneInfo(zone)).date() for time in times]
    assert [tag for _, tag in points] == oracle(local)


DURATIONS = st.builds(
    Duration,
    years=st.integers(0, 12),
    months=st.integers(0, 30),
    weeks=st.integers(0, 60),
    days=st.integers(0, 400),
)


@settings(max_examples=300)
@given(st.datetimes(_START, _END), DURATIONS)
def test_expiry_is_what_a_slow_calendar_says(taken: datetime, kept: Duration) -> None:
    taken = taken.replace(microsecond=0, tzinfo=UTC)
    day = slow_add(taken.date(), kept.years, kept.months, kept.weeks * 7 + kept.days)
    expected = datetime.combine(day, taken.timetz())
    assert expiry(Instant(taken).to_tz("UTC"), kept).to_stdlib() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-9999, 9999), st.text(max_size=9)), max_size=20), st.text())
def test_there_is_always_a_verdict_that_lies_ahead(
    earlier: list[tuple[int, str]], rule: str
) -> None:
    now = Instant.parse_iso("2028-02-29T02:00:00Z")
    points = [(now.add(hours=hours), tag) for hours, tag in earlier]
    for name in (rule, RULE):
        verdict = tag_for(a_policy(), name, now, points)
        assert verdict.expires_at > now
        assert verdict.reason.startswith(f"{verdict.tag}: ")


def test_in_three_years_each_tier_keeps_what_it_promises() -> None:
    found = fires(a_policy(), "2026-01-01T00:00:00Z", 3 * 365)
    end = found[-1].at
    alive = Counter(f.verdict.tag for f in found if f.verdict.expires_at > end)
    assert alive["Default"] >= 10  # of fourteen nights, those that were nothing better
    assert alive["Weekly"] >= 6
    assert alive["Monthly"] >= 12
    assert alive["Yearly"] == 3
    months = {f.at.to_stdlib().strftime("%Y-%m") for f in found[-395:]}
    kept = {
        f.at.to_stdlib().strftime("%Y-%m")
        for f in found
        if f.verdict.tag in {"Monthly", "Yearly"} and f.verdict.expires_at > end
    }
    assert months <= kept


def test_a_tag_that_is_kept_a_shorter_time_never_uses_up_a_longer_ones_period() -> None:
    policy = tagged("Mondays", 1, {"daysOfTheWeek": ["Monday"]}, "P3D")
    found = fires(policy, "2027-01-31T12:00:00Z", 3)  # the first of February is a Monday
    assert [f.verdict.tag for f in found] == ["Mondays", "Yearly", "Default"]


@pytest.mark.parametrize(
    ("criteria", "days"),
    [
        ({"daysOfMonth": [{"isLast": True}]}, ["02-29", "03-31", "04-30"]),
        ({"daysOfMonth": [{"date": 31}]}, ["03-31"]),
        (
            {"daysOfMonth": [{"date": 1}, {"date": 15}], "monthsOfYear": ["March"]},
            ["03-01", "03-15"],
        ),
        ({"daysOfTheWeek": ["Sunday"], "weeksOfTheMonth": ["First"]}, ["03-05", "04-02"]),
        ({"daysOfTheWeek": ["Friday"], "weeksOfTheMonth": ["Last"]}, ["02-25", "03-31", "04-28"]),
        ({"scheduleTimes": ["2026-01-01T02:00:00Z"], "monthsOfYear": ["May"]}, []),
        (
            {"absoluteCriteria": ["FirstOfMonth"], "daysOfTheWeek": ["Monday"]},
            ["02-21", "03-06", "04-03"],
        ),
    ],
)
def test_calendar_criteria_stand_together(criteria: dict[str, Any], days: list[str]) -> None:
    policy = tagged("Mine", 1, criteria, "P20Y")
    found = fires(policy, "2028-02-20T12:00:00Z", 70)
    mine = [f.at.to_stdlib().strftime("%m-%d") for f in found if f.verdict.tag == "Mine"]
    assert mine == days


def test_every_backup_may_have_a_tag() -> None:
    policy = tagged("All", 1, {"absoluteCriteria": ["AllBackup"]}, "P1Y")
    assert {f.verdict.tag for f in fires(policy, "2028-01-01T00:00:00Z", 9)} == {"All"}


def test_a_point_whose_rule_has_left_the_policy_is_kept_by_the_default_one() -> None:
    now = Instant.parse_iso("2028-02-29T02:00:00Z")
    verdict = tag_for(a_policy(), "Renamed", now, [])
    assert verdict.tag == "Default"
    assert "left the policy" in verdict.reason
    asked = tag_for(a_policy(), RULE, now, [], "gone")
    assert asked.tag == "Default"
    assert "gone" in asked.reason


def test_two_rules_that_fire_together_are_two_backups_and_two_intervals_one() -> None:
    body: dict[str, Any] = ten_years_policy()
    body["policyRules"][0]["trigger"]["schedule"]["repeatingTimeIntervals"] *= 2
    body["policyRules"].append({**body["policyRules"][0], "name": "Another"})
    found = fires(parse_policy(body), "2028-01-01T00:00:00Z", 6)
    assert [f.rule_name for f in found] == ["Another", "BackupDaily"] * 3
    assert all(a.at <= b.at for a, b in pairwise(found))


def test_a_preview_ends_with_its_repeats() -> None:
    policy = a_policy(interval="R2/2028-01-01T02:00:00+00:00/P1D")
    assert len(fires(policy, "2027-01-01T00:00:00Z", 99)) == 3
