"""Recovery points: newest first, a hundred a page, between two dates."""

import pytest
from azure.core.exceptions import HttpResponseError
from whenever import Instant

from arm_story import INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld
from strongroom.catalog.tables.tables import instances, recovery_points

COUNT = 205
FIRST = Instant.parse_iso("2026-01-01T02:00:00Z")
GROUP, VAULT, NAME = "backup-rg", "v1", "pg1-inst"


@pytest.fixture(scope="module")
def points(world: ArmWorld, story: Story) -> list[str]:
    """One a day, oldest first."""
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()
        rows = [
            {
                "id": f"{number:032x}",
                "instance_id": instance["id"],
                "job_id": "job",
                "kind": "Full",
                "taken_at": FIRST.add(hours=24 * number),
                "committed_at": FIRST.add(hours=24 * number + 1),
                "expires_at": FIRST.add(hours=24 * (number + 90)),
                "tag": "Default",
                "policy_id": instance["policy_id"],
                "policy_version": 1,
                "generation": "g",
                "manifest_size": 1,
                "manifest_blake3": b"x" * 32,
                "raw_bytes": 10,
                "stored_bytes": 5,
                "facts": {"version_number": 180001},
                "state": "Completed",
            }
            for number in range(COUNT)
        ]
        connection.execute(recovery_points.insert(), rows)
    return [str(row["id"]) for row in rows]


def test_the_client_walks_all_pages_newest_first(world: ArmWorld, points: list[str]) -> None:
    listed = [p.name for p in world.backup().recovery_points.list(GROUP, VAULT, NAME)]
    assert listed == points[::-1]


def test_a_page_leads_to_the_next_by_an_address_of_ours(story: Story, points: list[str]) -> None:
    first = story.get(f"{INSTANCE_ID}/recoveryPoints")
    assert len(first["value"]) == 100
    assert first["nextLink"].startswith(f"{story.world.url}{INSTANCE_ID}/recoveryPoints?")
    last = story.http.get(story.http.get(first["nextLink"]).json()["nextLink"]).json()
    assert len(last["value"]) == 5
    assert "nextLink" not in last


def test_points_are_found_between_two_dates(world: ArmWorld, points: list[str]) -> None:
    for start in ("2026-01-02T02:00:00Z", "2026-01-02T02:00:00"):  # no offset: UTC
        wanted = f"startDate eq '{start}' and endDate eq '2026-01-04T02:00:00.0000000Z'"
        found = world.backup().recovery_points.list(GROUP, VAULT, NAME, filter=wanted)
        assert [p.name for p in found] == points[3:0:-1]


def test_a_filter_survives_paging(world: ArmWorld, points: list[str]) -> None:
    wanted = "startDate eq '2026-01-03T00:00:00+00:00'"
    found = world.backup().recovery_points.list(GROUP, VAULT, NAME, filter=wanted)
    assert len(list(found)) == COUNT - 2


def test_a_date_that_is_none_is_refused(world: ArmWorld, points: list[str]) -> None:
    for odd in ("tomorrow", "2026-13-01T00:00:00Z"):
        with pytest.raises(HttpResponseError) as refused:
            list(
                world.backup().recovery_points.list(
                    GROUP, VAULT, NAME, filter=f"startDate eq '{odd}'"
                )
            )
        assert refused.value.error.code == "BMSUserErrorInvalidInput"


def test_one_point_tells_what_postgresql_people_ask(story: Story, points: list[str]) -> None:
    told = story.get(f"{INSTANCE_ID}/recoveryPoints/{points[0]}")["properties"]
    assert told["recoveryPointTime"] == "2026-01-01T02:00:00.0000000Z"
    assert (
        told["recoveryPointDataStoresDetails"][0]["expiryTime"] == "2026-04-01T02:00:00.0000000Z"
    )
    assert '"version_number":180001' in told["recoveryPointDataStoresDetails"][0]["metaData"]
    absent = story.http.get(f"{INSTANCE_ID}/recoveryPoints/{'f' * 32}", params=VERSION)
    assert absent.status_code == 404
