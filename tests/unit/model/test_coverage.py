"""Which promised point is lacking, and which is only still to come."""

import pytest
from whenever import Instant

from strongroom.model.protection.coverage import coverage, periods_of
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import azure_default_policy, ten_years_policy

NOW = Instant.parse_iso("2026-11-26T12:00:00Z")


def days_ago(days: int) -> Instant:
    return NOW.subtract(hours=24 * days)


def test_the_tags_for_firsts_have_periods_and_the_default_has_none() -> None:
    found = periods_of(parse_policy(ten_years_policy()))
    assert found == {"Weekly": 7, "Monthly": 31, "Yearly": 366}
    assert periods_of(parse_policy(azure_default_policy())) == {}


@pytest.mark.parametrize(
    ("newest", "created", "state"),
    [
        (20, 400, "ok"),
        (38, 400, "ok"),
        (40, 400, "lacking"),
        (None, 400, "lacking"),
        (None, 20, "waiting"),
    ],
)
def test_a_monthly_point_is_there_lacking_or_to_come(
    newest: int | None, created: int, state: str
) -> None:
    known = {} if newest is None else {"Monthly": days_ago(newest)}
    [found] = coverage({"Monthly": 31}, known, days_ago(created), NOW)
    assert (found.tag, found.state) == ("Monthly", state)
