"""When an edit of a policy keeps less."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from strongroom.model.protection.less_retention import is_shorter, less_kept
from strongroom.model.protection.policy import Duration, parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy, with_window

Body = dict[str, Any]


def edited(change: Callable[[Body], None]) -> list[str]:
    before = ten_years_policy()
    after = copy.deepcopy(before)
    change(after)
    return less_kept(parse_policy(before), parse_policy(after))


def rule(body: Body, name: str) -> Body:
    return next(r for r in body["policyRules"] if r["name"] == name)


def backup_rule(body: Body) -> Body:
    return next(r for r in body["policyRules"] if r["objectType"] == "AzureBackupRule")


def keep(name: str, duration: str) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        rule(body, name)["lifecycles"][0]["deleteAfter"]["duration"] = duration

    return change


@pytest.mark.parametrize(
    ("after", "before", "shorter"),
    [
        ("P30D", "P1M", True),
        ("P31D", "P1M", False),
        ("P365D", "P1Y", True),
        ("P366D", "P1Y", False),
        ("P12M", "P1Y", False),
        ("P1Y", "P12M", False),
        ("P4W", "P1M", True),
        ("P10Y", "P10Y", False),
        ("P3652D", "P10Y", True),
        ("P3653D", "P10Y", False),
    ],
)
def test_a_length_is_shorter_when_it_ends_earlier_on_any_day(
    after: str, before: str, shorter: bool
):
    assert is_shorter(Duration.parse(after), Duration.parse(before)) is shorter


def names() -> list[str]:
    body = ten_years_policy()
    return [r["name"] for r in body["policyRules"] if r["objectType"] == "AzureRetentionRule"]


@pytest.mark.parametrize("name", names())
def test_a_shorter_duration_of_any_tag_is_less_and_a_longer_one_is_not(name: str):
    (said,) = edited(keep(name, "P1D"))
    assert said.startswith(f"{name}: ")
    assert said.endswith("becomes P1D")
    assert edited(keep(name, "P99Y")) == []


def test_a_tag_that_is_gone_is_less():
    name = next(n for n in names() if n != "Default")

    def drop(body: Body) -> None:
        body["policyRules"].remove(rule(body, name))
        tags = backup_rule(body)["trigger"]["taggingCriteria"]
        tags[:] = [tag for tag in tags if tag["tagInfo"]["tagName"] != name]

    assert any(name in said for said in edited(drop))


def test_another_choice_of_points_for_a_tag_is_less():
    def choose(body: Body) -> None:
        tags = backup_rule(body)["trigger"]["taggingCriteria"]
        found = next(tag for tag in tags if not tag["isDefault"])
        found["criteria"] = [
            {
                "objectType": "ScheduleBasedBackupCriteria",
                "monthsOfYear": ["January"],
                "daysOfTheWeek": ["Monday"],
            }
        ]

    assert any("which points are" in said for said in edited(choose))


def test_a_new_tag_that_takes_points_from_a_longer_one_is_less():
    def add(days: str) -> Callable[[Body], None]:
        def change(body: Body) -> None:
            new = copy.deepcopy(rule(body, "Default"))
            new |= {"name": "New", "isDefault": False}
            new["lifecycles"][0]["deleteAfter"]["duration"] = days
            body["policyRules"].append(new)
            criteria = {"objectType": "ScheduleBasedBackupCriteria"}
            criteria |= {"absoluteCriteria": ["AllBackup"]}
            backup_rule(body)["trigger"]["taggingCriteria"].insert(
                0,
                {
                    "isDefault": False,
                    "taggingPriority": 1,
                    "tagInfo": {"tagName": "New"},
                    "criteria": [criteria],
                },
            )

        return change

    assert any("New takes points" in said for said in edited(add("P1D")))
    assert edited(add("P99Y")) == []


def test_another_schedule_is_not_less_and_another_name_of_the_rule_is():
    def hourly(body: Body) -> None:
        schedule = backup_rule(body)["trigger"]["schedule"]
        schedule["repeatingTimeIntervals"] = ["R/2024-01-01T12:00:00+00:00/P1W"]

    def rename(body: Body) -> None:
        backup_rule(body)["name"] = "Another"

    assert edited(hourly) == []
    assert "is gone" in edited(rename)[0]


def test_a_policy_never_keeps_less_than_itself():
    assert edited(lambda body: None) == []


def test_a_shorter_window_keeps_less_and_a_longer_one_does_not() -> None:
    policies = {days: parse_policy(with_window(ten_years_policy(), days)) for days in (0, 7, 35)}
    assert less_kept(policies[35], policies[7]) == ["every second of 35 days becomes 7"]
    assert less_kept(policies[7], policies[0])
    assert less_kept(policies[0], policies[7]) == less_kept(policies[7], policies[35]) == []
