"""Settings of backups: an extension of the instance, kept through clients that know none."""

from typing import Any

import pytest
import sqlalchemy as sa
from whenever import Instant

from arm_story import INSTANCE_ID, Story, instance_body
from arm_world import VERSION, ArmWorld, vault_id
from strongroom.catalog.protection import instances
from strongroom.catalog.tables.tables import audit, schedules
from strongroom.model.protection.policy_templates import azure_default_policy
from strongroom.model.protection.starting import wait_seconds

USUAL = {
    "bandwidth": 0,
    "compressionLevel": 1,
    "parallelism": 0,
    "window": "",
    "drillDays": 0,
    "operationalDays": 0,
    "slotBytes": 0,
}
ASKED = {"bandwidth": 50 << 20, "compressionLevel": 3, "window": "22:00-06:00@Europe/Prague"}


def put(story: Story, **more: Any) -> dict[str, Any]:
    answer = story.put(INSTANCE_ID, {"properties": {**instance_body(), **more}})
    found: dict[str, Any] = answer["properties"]["strongroom"]
    return found


def ours(story: Story) -> dict[str, Any]:
    found: dict[str, Any] = story.get(INSTANCE_ID)["properties"]["strongroom"]
    return found


def test_they_are_as_they_were_made_until_set_and_stay_through_a_put_that_says_nothing(
    world: ArmWorld, story: Story
) -> None:
    assert ours(story)["settings"] == USUAL
    assert put(story, strongroom={"settings": ASKED})["settings"] == {**USUAL, **ASKED}
    assert put(story)["settings"] == {**USUAL, **ASKED}
    with world.database.reading() as connection:
        told = connection.execute(
            sa.select(audit.c.detail).where(audit.c.action == "instance/write")
        ).scalars()
        assert {**USUAL, **ASKED} in [detail.get("settings") for detail in told]
    put(story, strongroom={"settings": {}})
    assert ours(story)["settings"] == USUAL


def test_they_can_be_set_while_the_server_is_down_and_another_policy_cannot(
    world: ArmWorld, story: Story
) -> None:
    world.agent_says(story.agent, "main", ready=False, problems=[])
    try:
        put(story, strongroom={"settings": {"parallelism": 2}})
        assert ours(story)["settings"]["parallelism"] == 2
        body = {"properties": instance_body(policy="spare")}
        answer = story.http.put(INSTANCE_ID, params=VERSION, json=body)
        assert answer.status_code == 400
    finally:
        world.agent_says(story.agent, "main")
    put(story, strongroom={"settings": {}})


@pytest.mark.parametrize(
    "asked",
    [{"bandwidth": "fast"}, {"level": 3}, {"window": "22:00-22:00@UTC"}, {"parallelism": 99}, 7],
)
def test_what_makes_no_sense_is_refused_with_the_next_step(story: Story, asked: Any) -> None:
    body = {"properties": {**instance_body(), "strongroom": {"settings": asked}}}
    for answer in (
        story.http.put(INSTANCE_ID, params=VERSION, json=body),
        story.http.post(
            f"{vault_id()}/validateForBackup",
            params=VERSION,
            json={"backupInstance": body["properties"]},
        ),
    ):
        assert answer.status_code == 400, answer.text
        info = answer.json()["error"]["additionalInfo"][0]["info"]
        assert info["recommendedAction"][0]
    assert ours(story)["settings"] == USUAL


def test_a_backup_that_waits_for_its_window_is_told_and_one_on_demand_does_not_wait(
    world: ArmWorld, story: Story
) -> None:
    now = world.clock.now().to_tz("UTC")
    begins, ends = (now.add(hours=hours).time().format("HH:mm") for hours in (10, 12))
    put(story, strongroom={"settings": {"window": f"{begins}-{ends}@UTC"}})
    waiting = world.clock.now().subtract(hours=1)
    for due, missed in ((waiting, False), (waiting.subtract(hours=24), True)):
        with world.database.writing() as connection:
            connection.execute(schedules.update().values(next_fire_at=due))
        told = ours(story)
        assert told["missedWindow"] is missed
        assert told["heldSince"][:16] == due.to_stdlib().isoformat()[:16]
        assert told["nextBackup"][11:16] == begins
    asked = {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
    assert story.outcome(f"{INSTANCE_ID}/backup", asked)["status"] == "Succeeded"


def test_the_next_backup_is_told_with_its_share_of_the_spread(
    world: ArmWorld, story: Story
) -> None:
    put(story, strongroom={"settings": {"window": ""}})
    spread = {**azure_default_policy(), "strongroom": {"startWithin": 600}}
    story.put(f"{vault_id()}/backupPolicies/pgflex", {"properties": spread})
    due = Instant.parse_iso("2100-01-03T02:00:00Z")
    with world.database.writing() as connection:
        connection.execute(schedules.update().values(next_fire_at=due))
        (instance,) = instances.list_ids(connection)
    wait = wait_seconds(instance, 1, 600)
    assert 0 < wait < 36_000
    assert Instant.parse_iso(ours(story)["nextBackup"]) == due.add(seconds=wait)
