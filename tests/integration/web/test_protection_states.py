"""Stop, suspend, resume: Azure's table of states, by Azure's own client."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from arm_story import GROUP_ID, INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld, vault_id
from strongroom.catalog.tables.tables import audit
from strongroom.model.protection.policy_templates import azure_default_policy

GROUP = GROUP_ID.rpartition("/")[2]
PLACE = (GROUP, "v1", "pg1-inst")


@pytest.fixture
def instances(world: ArmWorld, story: Story) -> Any:
    """The SDK's calls; `pg1-inst` is protected as each test begins."""
    story.put(INSTANCE_ID, {"properties": story.get(INSTANCE_ID)["properties"]})
    found = world.backup().backup_instances
    if state(found) == "ProtectionStopped":
        found.begin_resume_protection(*PLACE).result()
    if state(found) == "BackupSchedulesSuspended":
        found.begin_resume_backups(*PLACE).result()
    assert state(found) == "ProtectionConfigured"
    return found


def state(instances: Any) -> str:
    told = instances.get(*PLACE).properties
    assert told.protection_status.status == told.current_protection_state
    found: str = told.current_protection_state.value
    return found


def next_backup(story: Story) -> str | None:
    found: str | None = story.get(INSTANCE_ID)["properties"]["strongroom"]["nextBackup"]
    return found


def refused_backup(instances: Any) -> tuple[str, str]:
    """(what is told, the step that is recommended)."""
    body = {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
    with pytest.raises(HttpResponseError) as refused:
        instances.begin_adhoc_backup(*PLACE, body).result()
    told = refused.value.error
    (step,) = told.additional_info[0].info["recommendedAction"]
    return str(told.message), step


@pytest.mark.parametrize(
    ("leave", "come_back", "named", "act"),
    [
        (
            "begin_stop_protection",
            "begin_resume_protection",
            "ProtectionStopped",
            "resumeProtection",
        ),
        (
            "begin_suspend_backups",
            "begin_resume_backups",
            "BackupSchedulesSuspended",
            "resumeBackups",
        ),
    ],
)
def test_what_is_stopped_or_suspended_takes_no_backups_until_it_is_resumed(
    instances: Any, story: Story, leave: str, come_back: str, named: str, act: str
) -> None:
    due = next_backup(story)
    assert due
    assert getattr(instances, leave)(*PLACE).result() is None
    assert state(instances) == named
    assert next_backup(story) is None
    told, step = refused_backup(instances)
    assert told == f"no backup of pg1-inst begins while it is {named}"
    assert step == f"resume it first: {act}, or strongroom resume"
    assert getattr(instances, come_back)(*PLACE).result() is None
    assert state(instances) == "ProtectionConfigured"
    assert next_backup(story) == due


def test_each_state_leads_only_where_the_table_says(instances: Any) -> None:
    instances.begin_suspend_backups(*PLACE).result()
    instances.begin_resume_protection(*PLACE).result()
    assert state(instances) == "ProtectionConfigured"
    instances.begin_stop_protection(*PLACE).result()
    with pytest.raises(HttpResponseError, match="ProtectionStopped"):
        instances.begin_resume_backups(*PLACE).result()
    assert state(instances) == "ProtectionStopped"
    instances.begin_suspend_backups(*PLACE).result()
    assert state(instances) == "BackupSchedulesSuspended"


def test_to_ask_again_for_the_state_that_is_changes_nothing(
    instances: Any, world: ArmWorld
) -> None:
    for _ in range(2):
        instances.begin_stop_protection(*PLACE).result()
    with world.database.reading() as connection:
        rows = connection.execute(
            audit.select().where(audit.c.action == "instance/stopProtection")
        )
        last = rows.mappings().all()[-1]
    assert last["before"] == {"state": "ProtectionConfigured"}
    assert last["after"] == {"state": "ProtectionStopped"}
    instances.begin_resume_protection(*PLACE).result()
    instances.begin_resume_protection(*PLACE).result()
    assert state(instances) == "ProtectionConfigured"


def test_neither_a_change_of_the_instance_nor_of_its_policy_wakes_it(
    instances: Any, story: Story
) -> None:
    instances.begin_stop_protection(*PLACE).result()
    body = story.get(INSTANCE_ID)["properties"]
    body["policyInfo"]["policyId"] = f"{vault_id()}/backupPolicies/spare"
    story.put(INSTANCE_ID, {"properties": body})
    policy = azure_default_policy()
    policy["policyRules"][0]["trigger"]["schedule"]["repeatingTimeIntervals"] = [
        "R/2021-08-15T07:30:00+00:00/P1W"
    ]
    story.put(f"{vault_id()}/backupPolicies/spare", {"properties": policy})
    assert (state(instances), next_backup(story)) == ("ProtectionStopped", None)


def test_an_instance_that_is_not_there_is_not_found(story: Story) -> None:
    for act in ("stopProtection", "suspendBackups", "resumeProtection", "resumeBackups"):
        answer = story.http.post(f"{INSTANCE_ID}x/{act}", params=VERSION)
        assert answer.status_code == 404, answer.text
