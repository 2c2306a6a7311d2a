"""Legal holds at the door: set, seen beside the points, released."""

import uuid
from typing import Any

import httpx
import pytest

from arm_story import INSTANCE_ID, Story, add_point
from arm_world import VERSION, ArmWorld

POINT = f"{1:032x}"
HOLD = f"{INSTANCE_ID}/legalHolds/case-2026"


@pytest.fixture(scope="module")
def point(world: ArmWorld, story: Story) -> str:
    add_point(world, 1, "Full", 1, {})
    return POINT


def put(story: Story, place: str = HOLD, **properties: Any) -> httpx.Response:
    return story.http.put(place, params=VERSION, json={"properties": properties})


def ended(story: Story, answer: httpx.Response) -> None:
    """The operation has ended well; it ends when the durable story says so."""
    for _ in range(400):
        told = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
        if told["status"] != "Inprogress":
            break
        story.world.clock.sleep(0.05)
    assert told["status"] == "Succeeded", told


def release(story: Story, place: str = HOLD) -> None:
    answer = story.http.delete(place, params=VERSION)
    assert answer.status_code == 202, answer.text
    ended(story, answer)


def metadata(story: Story, point: str) -> str:
    told = story.get(f"{INSTANCE_ID}/recoveryPoints/{point}")["properties"]
    found: str = told["recoveryPointDataStoresDetails"][0]["metaData"]
    return found


def test_a_hold_is_set_is_shown_with_its_point_and_is_released(story: Story, point: str) -> None:
    answer = put(story, reason="Smith v. Jones", recoveryPointId=point)
    assert answer.status_code == 201, answer.text
    ended(story, answer)
    told = story.get(HOLD)
    assert told["type"].endswith("/backupInstances/legalHolds")
    assert told["properties"]["provisioningState"] == "Succeeded"
    assert told["properties"]["reason"] == "Smith v. Jones"
    assert told["properties"]["recoveryPointId"] == point
    assert [each["name"] for each in story.get(f"{INSTANCE_ID}/legalHolds")["value"]] == [
        "case-2026"
    ]
    assert '"legalHolds":["case-2026"]' in metadata(story, point)
    release(story)
    assert story.http.get(HOLD, params=VERSION).status_code == 404
    assert "legalHolds" not in metadata(story, point)
    assert story.http.delete(HOLD, params=VERSION).status_code == 204


def test_ids_hold_the_names_as_they_were_given_whatever_case_they_are_asked_for_in(
    story: Story, point: str
) -> None:
    ended(story, put(story))
    home, loud = INSTANCE_ID, INSTANCE_ID.replace("pg1-inst", "PG1-INST").replace("/v1", "/V1")
    assert loud != home
    for one in (f"recoveryPoints/{point}", "legalHolds/case-2026"):
        kind = one.partition("/")[0]
        assert story.get(f"{loud}/{one}")["id"] == f"{home}/{one}"
        assert f"{home}/{one}" in {each["id"] for each in story.get(f"{loud}/{kind}")["value"]}
    asked = {"sourceDataStoreType": "VaultStore", "startTime": "2026-01-01T00:00:00Z"}
    found = story.http.post(f"{loud}/findRestorableTimeRanges", params=VERSION, json=asked)
    assert found.json()["id"].startswith(f"{home}/")
    release(story)


def test_a_hold_on_the_instance_is_a_hold_on_each_point(story: Story, point: str) -> None:
    ended(story, put(story))
    assert '"legalHolds":["case-2026"]' in metadata(story, point)
    answer = story.http.delete(INSTANCE_ID, params=VERSION)
    assert answer.status_code == 409, answer.text
    assert "case-2026" in answer.json()["error"]["message"]
    release(story)


def test_the_same_hold_again_is_one_and_another_of_its_name_is_refused(
    story: Story, point: str
) -> None:
    ended(story, put(story, reason="a", recoveryPointId=point))
    again = put(story, reason="a", recoveryPointId=point)
    assert again.status_code == 200, again.text
    ended(story, again)
    other = put(story, reason="b", recoveryPointId=point)
    assert other.status_code == 409, other.text
    key = {"x-ms-client-request-id": str(uuid.uuid4())}
    first, second = (story.http.delete(HOLD, params=VERSION, headers=key) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    ended(story, first)


@pytest.mark.parametrize(
    ("place", "properties", "word"),
    [
        (f"{INSTANCE_ID}/legalHolds/a b", {}, "no name for a legal hold"),
        (HOLD, {"recoveryPointId": "xyz"}, "recoveryPointId"),
        (HOLD, {"reason": "x" * 1001}, "reason"),
        (HOLD, {"reason": 5}, "reason"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field_named(
    story: Story, place: str, properties: dict[str, Any], word: str
) -> None:
    answer = put(story, place, **properties)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["error"]["message"]


def test_a_point_that_is_not_there_is_not_held(story: Story) -> None:
    assert put(story, recoveryPointId="e" * 32).status_code == 404
