"""Which points a policy keeps on any day of the years to come, and why each."""

import copy
from collections import Counter
from typing import Any

import pytest
from whenever import Date, Instant

from strongroom.model.errors import Invalid
from strongroom.model.points.preview import Preview, end_of_day, preview
from strongroom.model.protection.policy import BackupPolicy, parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy

NEW_YEAR = Instant.parse_iso("2026-01-01T00:00:00Z")


def ahead(years: int = 10, **schedule: Any) -> Preview:
    return preview(a_policy(**schedule), NEW_YEAR, years)


def a_policy(interval: str = "", zone: str = "", kept: str = "") -> BackupPolicy:
    body: dict[str, Any] = copy.deepcopy(ten_years_policy())
    schedule = body["policyRules"][0]["trigger"]["schedule"]
    if interval:
        schedule["repeatingTimeIntervals"] = [interval]
    schedule["timeZone"] = zone or schedule["timeZone"]
    if kept:
        body["policyRules"][1]["lifecycles"][0]["deleteAfter"]["duration"] = kept
    return parse_policy(body)


def test_after_ten_years_the_built_in_policy_keeps_what_its_text_says() -> None:
    found = ahead()
    end = end_of_day(found.policy, Date(2035, 12, 30))
    ((_, counts),) = found.counts([end])
    assert counts == {"Yearly": 10, "Monthly": 12, "Weekly": 8, "Default": 12}
    days = [kept.fire.at.format_iso()[:10] for kept in found.at(end)]
    assert days[:3] == ["2035-12-30", "2035-12-29", "2035-12-28"]
    assert days[-1] == "2026-01-01"


def test_each_point_says_why_it_is_there() -> None:
    found = ahead(1)
    words = {k.fire.at.format_iso()[:10]: k.why for k in found.at(NEW_YEAR.add(hours=24 * 40))}
    assert words["2026-01-01"] == "Yearly: the first point of 2026"
    assert words["2026-02-01"] == "Monthly: the first point of February 2026"
    assert words["2026-02-08"] == "Weekly: the first point of the week of 2026-02-08"
    assert words["2026-02-09"] == "Default: no other tag applies"
    assert "2026-01-09" not in words


def test_what_is_counted_is_what_is_told() -> None:
    found = preview(parse_policy(every_year_without_tags()), NEW_YEAR, 5)
    days = [NEW_YEAR.add(hours=24 * n) for n in range(0, 365 * 5, 9)]
    for each in (found, ahead(5, interval="R/2026-01-01T02:00:00Z/PT4H", zone="Asia/Tokyo")):
        for moment, counts in each.counts(days):
            assert counts == Counter(kept.fire.verdict.tag for kept in each.at(moment))


def test_a_point_is_there_from_its_backup_to_the_moment_at_which_it_ends() -> None:
    found = ahead(1, interval="R1/2026-01-02T02:00:00Z/P1D", kept="P1D")
    first, last = (fire.at for fire in found.fires)
    assert found.at(first.subtract(nanoseconds=1)) == []
    assert [kept.fire.at for kept in found.at(first)] == [first]
    assert [kept.fire.at for kept in found.at(last)] == [last, first]


def test_the_newest_point_stays_beyond_its_time_and_says_so() -> None:
    found = preview(parse_policy(every_year_without_tags()), NEW_YEAR, 2)
    (kept,) = found.at(NEW_YEAR.add(hours=24 * 100))
    assert kept.fire.at == Instant.parse_iso("2026-01-01T02:00:00Z")
    assert kept.why == "the last good point: its time as Default is over"


def every_year_without_tags() -> dict[str, Any]:
    body = copy.deepcopy(ten_years_policy())
    trigger = body["policyRules"][0]["trigger"]
    trigger["taggingCriteria"] = trigger["taggingCriteria"][3:]
    trigger["schedule"]["repeatingTimeIntervals"] = ["R/2026-01-01T02:00:00+00:00/P1Y"]
    return body


def test_a_day_ends_at_midnight_of_the_policys_zone() -> None:
    berlin = a_policy(zone="W. Europe Standard Time")
    assert end_of_day(berlin, Date(2026, 7, 1)).format_iso()[:19] == "2026-07-01T21:59:59"
    cairo = a_policy(zone="Africa/Cairo")  # on 24 April 2026 its clocks leap over midnight
    assert end_of_day(cairo, Date(2026, 4, 23)).format_iso()[:19] == "2026-04-23T21:59:59"


def test_its_anniversaries_are_those_of_the_day_from_which_it_looks() -> None:
    years = [time.format_iso()[:10] for time in ahead(3).anniversaries()]
    assert years == ["2027-01-01", "2028-01-01", "2029-01-01"]


@pytest.mark.parametrize(("years", "interval"), [(0, "P1D"), (101, "P1D"), (12, "PT1H")])
def test_what_is_too_far_to_be_seen_is_refused(years: int, interval: str) -> None:
    with pytest.raises(Invalid) as refused:
        ahead(years, interval=f"R/2026-01-01T02:00:00+00:00/{interval}")
    assert refused.value.hint
