"""Policies, read at the door."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.errors import Invalid
from strongroom.model.policy import Duration, parse_policy
from strongroom.model.policy_templates import azure_default_policy, ten_years_policy


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


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"policyRules": "all"},
        without(["policyRules"], []),
        without(["policyRules", 0, "name"], "x"),
        without(["policyRules", 0, "trigger", "schedule", "repeatingTimeIntervals"], []),
        without(["policyRules", 0, "trigger", "schedule", "timeZone"], "Mars/Olympus"),
        without(["policyRules", 2, "name"], "Default"),
        without(["policyRules", 3, "lifecycles"], []),
        without(["policyRules", 0, "trigger", "taggingCriteria", 0, "tagInfo", "tagName"], "None"),
        without(["policyRules", 2, "objectType"], "AzureRetentionRul"),
        without(["policyRules", 0, "dataStore", "dataStoreType"], "OperationalStore"),
        without(["policyRules", 0, "backupParameters", "backupType"], "Incremental"),
        without(["policyRules", 1, "lifecycles", 0, "targetDataStoreCopySettings"], [{}]),
        without(["policyRules", 1, "lifecycles", 0, "deleteAfter", "duration"], "P101Y"),
        without(["datasourceTypes"], ["Microsoft.Compute/disks"]),
        without(
            ["policyRules"], [ten_years_policy()["policyRules"][i] for i in (0, 0, 1, 2, 3, 4)]
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_a_hint(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        parse_policy(body)
    assert refused.value.code == "BMSUserErrorInvalidInput"
    assert refused.value.hint


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
