"""Policies over HTTP: what they would keep, their versions, and what is refused."""

from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dataprotection.models import BackupPolicy, BaseBackupPolicyResource

from arm_story import INSTANCE_ID, Story, add_point
from arm_world import GROUP, VERSION, ArmWorld, vault_id
from strongroom.model.protection.policy_templates import azure_default_policy, ten_years_policy

POLICY = f"{vault_id()}/backupPolicies"


def ask(story: Story, name: str, body: dict[str, Any]) -> httpx.Response:
    return story.http.post(f"{POLICY}/{name}/preview", params=VERSION, json=body)


def hourly() -> dict[str, Any]:
    """Every hour, each point kept ten years: the most that a policy of ours usually asks."""
    body = ten_years_policy()
    schedule = {"repeatingTimeIntervals": ["R/2026-01-01T00:00:00Z/PT1H"], "timeZone": "UTC"}
    body["policyRules"][0]["trigger"]["schedule"] = schedule
    body["policyRules"][1]["lifecycles"][0]["deleteAfter"]["duration"] = "P10Y"
    return body


def test_any_policy_says_which_points_exist_on_a_day_of_the_years_to_come(story: Story) -> None:
    asked = {"properties": ten_years_policy(), "from": "2026-01-01", "on": "2035-12-30"}
    told = ask(story, "not-there-yet", asked).json()
    assert len(told["points"]) == 42
    assert told["points"][-1] == {
        "takenAt": "2026-01-01T02:00:00.0000000Z",
        "rule": "BackupDaily",
        "tag": "Yearly",
        "expiresAt": "2036-01-01T02:00:00.0000000Z",
        "why": "Yearly: the first point of 2026",
    }
    last = told["years"][-1]
    assert last["points"] == sum(last["byTag"].values())
    assert (len(told["years"]), len(told["next"])) == (10, 14)


def test_one_that_is_there_is_looked_at_by_its_name(story: Story) -> None:
    told = ask(story, "PGFLEX", {"from": "2031-02-01T00:00:00Z", "years": 1}).json()
    assert told["backups"] == 52
    assert {point["tag"] for point in told["next"]} == {"Default"}
    assert "points" not in told


def test_the_look_ahead_is_quick_even_where_a_hundred_thousand_backups_are_to_come(
    story: Story,
) -> None:
    told = ask(story, "much", {"properties": hourly(), "from": "2026-01-01", "on": "2035-12-30"})
    assert told.json()["backups"] > 87_000
    assert len(told.json()["points"]) > 87_000


@pytest.mark.parametrize(
    "body",
    [
        {"on": "someday"},
        {"from": "now"},
        {"years": 0},
        {"years": 200},
        {"years": "ten"},
        {"count": -1},
        {"properties": "all"},
    ],
)
def test_what_cannot_be_looked_at_is_refused(story: Story, body: dict[str, Any]) -> None:
    answer = ask(story, "pgflex", body)
    assert answer.status_code == 400
    assert ask(story, "absent", {}).status_code == 404


def test_the_field_that_makes_no_sense_is_the_target_of_the_error(story: Story) -> None:
    body = azure_default_policy()
    schedule = body["policyRules"][0]["trigger"]["schedule"]
    schedule["repeatingTimeIntervals"] = ["R/2026-01-01T00:00:00Z/P11Y"]
    answer = story.http.put(f"{POLICY}/bad", params=VERSION, json={"properties": body})
    error = answer.json()["error"]
    field = "policyRules[0].trigger.schedule.repeatingTimeIntervals[0]"
    assert (answer.status_code, error["target"]) == (400, field)
    assert error["message"].startswith(field)
    told = error["additionalInfo"][0]["info"]
    assert told["target"] == field
    assert told["recommendedAction"]


def test_azures_own_client_changes_a_policy_in_place_and_sees_its_version(
    world: ArmWorld, story: Story
) -> None:
    client = world.backup()
    assert version(client) == "1"
    client.backup_policies.create_or_update(
        GROUP, "v1", "pgflex", resource(ten_years_policy("Full"))
    )
    assert version(client) == "2"
    client.backup_policies.create_or_update(
        GROUP, "v1", "pgflex", resource(ten_years_policy("Full"))
    )
    assert version(client) == "2"  # the same text is no change
    with pytest.raises(HttpResponseError) as refused:
        client.backup_policies.create_or_update(GROUP, "v1", "pgflex", resource({}))
    assert refused.value.error.target == "policyRules"
    assert version(client) == "2"


def test_every_version_of_a_policy_is_kept_and_says_who_wrote_it(
    world: ArmWorld, story: Story
) -> None:
    for body in (azure_default_policy(), ten_years_policy(), azure_default_policy()):
        story.put(f"{POLICY}/edited", {"properties": body})
    told = story.get(f"{POLICY}/EDITED/versions")["value"]
    assert [each["name"] for each in told] == ["3", "2", "1"]
    assert told[1]["properties"] == ten_years_policy()
    assert told[1]["systemData"]["createdBy"] == world.owner_id
    assert told[1]["systemData"]["createdAt"] <= told[0]["systemData"]["createdAt"]
    loud = POLICY.replace("/v1", "/V1")
    ids = [each["id"] for each in story.get(f"{loud}/EDITED/versions")["value"]]
    assert ids[0] == f"{POLICY}/edited/versions/3" != f"{loud}/edited/versions/3"
    assert story.http.get(f"{POLICY}/absent/versions", params=VERSION).status_code == 404


def test_what_applying_a_policy_would_change_is_told_before_it_is_done(
    world: ArmWorld, story: Story
) -> None:
    add_point(world, 1, "Full", 1, {})
    url = f"{POLICY}/pgflex/applyToPoints"
    told = story.http.post(url, params=VERSION, json={"dryRun": True}).json()["value"]
    [each] = [each for each in told if each["recoveryPoint"] == f"{1:032x}"]
    assert each["backupInstance"] == "pg1-inst"
    assert each["why"] == "Default is kept longer now"
    assert each["expiresAt"] < each["becomes"]
    answer = story.http.post(url, params=VERSION, json={})
    assert answer.status_code == 202
    operation = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
    assert operation["status"] == "Inprogress"
    absent = story.http.post(f"{POLICY}/absent/applyToPoints", params=VERSION, json={})
    assert absent.status_code == 404


def resource(body: dict[str, Any]) -> BaseBackupPolicyResource:
    return BaseBackupPolicyResource(properties=BackupPolicy(body))


def version(client: Any) -> str:
    found = client.backup_instances.get(GROUP, "v1", INSTANCE_ID.rpartition("/")[2])
    assert found.properties.policy_info.policy_id == f"{POLICY}/pgflex"
    return str(found.properties.policy_info.policy_version)
