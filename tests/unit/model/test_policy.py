"""Policies, read at the door."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.errors import Invalid
from strongroom.model.protection.policy import Duration, parse_policy
from strongroom.model.protection.policy_templates import (
    azure_default_policy,
    ten_years_policy,
    with_window,
)


def test_the_built_in_policy_keeps_what_it_promises() -> None:
    policy = parse_policy(json.dumps(ten_years_policy()))
    kept = {rule.name: rule.duration for rule in policy.retention_rules}
    assert kept == {
        "Default": Duration(days=14),
        "Weekly": Duration(weeks=8),
        "Monthly": Duration(months=13),
        "Yearly": Duration(years=10),
    }


def test_azures_own_template_is_understood() -> None:
    policy = parse_policy(azure_default_policy())
    assert policy.retention_for("nothing of the kind").duration == Duration(months=3)


def test_keys_in_any_case_and_nulls_are_accepted_as_terraform_sends_them() -> None:
    body = ten_years_policy()
    trigger = body["policyRules"][0]["trigger"]
    trigger["schedule"]["timeZone"] = ""
    trigger["taggingCriteria"][0]["criteria"][0]["daysOfMonth"] = None
    lowered = json.loads(json.dumps(body).replace('"policyRules"', '"PolicyRules"'))
    assert parse_policy(lowered) == parse_policy(body)


def without(path: list[Any], value: object) -> dict[str, Any]:
    body = copy.deepcopy(ten_years_policy())
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return body


RULE, KEPT = ["policyRules", 0], ["policyRules", 1]
SCHEDULE, TAGS = [*RULE, "trigger", "schedule"], [*RULE, "trigger", "taggingCriteria"]
INTERVALS = [*SCHEDULE, "repeatingTimeIntervals"]
DURATION = [*KEPT, "lifecycles", 0, "deleteAfter", "duration"]
RULES = ten_years_policy()["policyRules"]


def every(period: str) -> list[str]:
    return [f"R/2026-01-01T02:00:00+00:00/{period}"]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["policyRules"], "all", "policyRules"),
        (["policyRules"], [], "policyRules"),
        (["policyRules"], RULES[1:], "policyRules"),
        (["policyRules"], [RULES[0], *RULES[2:]], "policyRules"),
        (["policyRules"], [7], "policyRules[0]"),
        (["policyRules"], [RULES[i] for i in (0, 0, 1, 2, 3, 4)], "policyRules[1].name"),
        ([*RULE, "name"], "x", "policyRules[0].name"),
        ([*RULE, "trigger"], None, "policyRules[0].trigger"),
        ([*RULE, "objectType"], "AzureBackupRul", "policyRules[0].objectType"),
        ([*RULE, "dataStore", "dataStoreType"], "OperationalStore", ".dataStore.dataStoreType"),
        ([*RULE, "backupParameters", "backupType"], "Incremental", ".backupType"),
        (INTERVALS, [], "policyRules[0].trigger.schedule.repeatingTimeIntervals"),
        (INTERVALS, every("P11Y"), ".repeatingTimeIntervals[0]"),
        (INTERVALS, every("PT30M"), ".repeatingTimeIntervals[0]"),
        (INTERVALS, every("P0D"), ".repeatingTimeIntervals[0]"),
        (INTERVALS, [*every("P1D"), "noon"], ".repeatingTimeIntervals[1]"),
        ([*SCHEDULE, "timeZone"], "Mars/Olympus", "policyRules[0].trigger.schedule.timeZone"),
        ([*SCHEDULE, "timeZone"], 1, ".timeZone"),
        ([*TAGS, 0, "tagInfo", "tagName"], "None", ".taggingCriteria[0].tagInfo.tagName"),
        ([*TAGS, 1, "criteria"], None, ".taggingCriteria[1].criteria"),
        ([*TAGS, 1, "criteria"], [{"absoluteCriteria": None}], ".taggingCriteria[1].criteria"),
        ([*TAGS, 1, "taggingPriority"], "first", ".taggingCriteria[1].taggingPriority"),
        ([*TAGS, 1, "criteria", 0, "absoluteCriteria"], ["FirstOfAll"], ".absoluteCriteria"),
        ([*TAGS, 1, "criteria", 0, "daysOfMonth"], [{"date": 32}], ".daysOfMonth[0].date"),
        ([*TAGS, 1, "criteria", 0, "daysOfTheWeek"], ["Moonday"], ".daysOfTheWeek"),
        ([*TAGS, 1, "criteria", 0, "weeksOfTheMonth"], ["Sixth"], ".weeksOfTheMonth"),
        ([*TAGS, 1, "criteria", 0, "monthsOfYear"], ["Brumaire"], ".monthsOfYear"),
        ([*TAGS, 1, "criteria", 0, "scheduleTimes"], ["noon"], ".scheduleTimes[0]"),
        (["policyRules", 2, "name"], "Default", "policyRules[2].name"),
        (["policyRules", 3, "lifecycles"], [], "policyRules[3].lifecycles"),
        (DURATION, "P0D", "policyRules[1].lifecycles[0].deleteAfter.duration"),
        (DURATION, "PT12H", ".deleteAfter.duration"),
        (DURATION, "P101Y", ".deleteAfter.duration"),
        (
            [*KEPT, "lifecycles", 0, "targetDataStoreCopySettings"],
            [{}],
            ".targetDataStoreCopySettings",
        ),
        (["datasourceTypes"], ["Microsoft.Compute/disks"], "datasourceTypes[0]"),
        (["strongroom"], {"startWithin": 721}, "strongroom.startWithin"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_and_the_field_is_named(
    path: list[Any], value: object, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        parse_policy(without(path, value))
    assert refused.value.code == "BMSUserErrorInvalidInput"
    assert refused.value.facts["field"].endswith(field)
    assert refused.value.facts["field"] in refused.value.message
    assert refused.value.hint


WINDOW = with_window(ten_years_policy(), 7)["policyRules"]
WINDOW_FIELD = "policyRules[5].lifecycles[0].deleteAfter.duration"


def test_the_window_of_the_log_is_a_rule_for_the_operational_store() -> None:
    body = ten_years_policy()
    for days in (1, 35, 400):
        found = parse_policy(with_window(with_window(body, 3), days))
        assert found.operational_days == days
        assert found.retention_rules == parse_policy(body).retention_rules
    assert parse_policy(with_window(with_window(body, 3), 0)) == parse_policy(body)


@pytest.mark.parametrize(
    ("rules", "duration", "field"),
    [
        (WINDOW, "P0D", WINDOW_FIELD),
        (WINDOW, "P1M", WINDOW_FIELD),
        (WINDOW, "P3661D", WINDOW_FIELD),
        (WINDOW, "PT12H", WINDOW_FIELD),
        ([*WINDOW, WINDOW[5]], "P7D", "policyRules[6].lifecycles"),
        (WINDOW[5:], "P7D", "policyRules"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_and_the_field_is_named(
    rules: list[Any], duration: str, field: str
) -> None:
    body = copy.deepcopy({**ten_years_policy(), "policyRules": rules})
    body["policyRules"][-1]["lifecycles"][0]["deleteAfter"]["duration"] = duration
    with pytest.raises(Invalid) as refused:
        parse_policy(body)
    assert refused.value.facts["field"] == field


def test_whatever_azure_can_say_and_more_is_taken() -> None:
    for period in ("PT1H", "PT4H", "P1D", "P1W", "P2W", "P1M", "P3M", "P1Y", "P10Y"):
        policy = parse_policy(without(INTERVALS, every(period) * 3))
        assert len(policy.backup_rules[0].intervals) == 3
    for kept in ("P1D", "P7D", "P10Y", "P100Y"):
        assert parse_policy(without(DURATION, kept)).retention_for("Default").duration.days_about()


def test_rules_whose_type_is_left_empty_are_told_by_what_they_hold() -> None:
    body = ten_years_policy()
    for rule in body["policyRules"]:
        rule["objectType"] = ""
    assert parse_policy(body) == parse_policy(ten_years_policy())


def test_a_schedule_time_is_read_in_the_policys_zone() -> None:
    body = ten_years_policy()
    trigger = body["policyRules"][0]["trigger"]
    trigger["schedule"]["timeZone"] = "India Standard Time"
    trigger["taggingCriteria"][0]["criteria"] = [{"scheduleTimes": ["2026-01-01T20:30:00+00:00"]}]
    criteria = parse_policy(body).backup_rules[0].tagging[0].criteria[0]
    assert criteria.times == ("02:00",)


@pytest.mark.parametrize(
    "text",
    ["P9999Y", "P99999D", "P9999M", "", "P", "P0D", "PT1H", "P1.5Y", "P-1D", "1Y", "P1W1", "NaN"],
)
def test_a_retention_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Duration.parse(text)


KEYS = st.sampled_from(["policyRules", "objectType", "name", "trigger", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(KEYS, c, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_policy_or_a_typed_refusal(value: Any) -> None:
    try:
        parse_policy(json.dumps(value))
    except Invalid:
        return
