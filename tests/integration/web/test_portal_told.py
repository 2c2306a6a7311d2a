"""What pages tell of points, of what is due and of jobs: read as text, without a browser."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld
from portal_rows import POINT, fill
from strongroom.catalog import usage
from strongroom.catalog.tables import instances, schedules
from strongroom.control import users
from strongroom.model.access import OWNER
from strongroom.model.usage import Share, Usage

NAME, PASSWORD = "anna", "four words of hers"
INSTANCE = "/instances/backup-rg/v1/pg1-inst"


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    users.create_user(world.control, NAME, PASSWORD, OWNER.id, f"/subscriptions/{SUBSCRIPTION}")
    fill(world)
    count(world)
    return world


@pytest.fixture(scope="module")
def guest(site: ArmWorld) -> Iterator[httpx.Client]:
    with site.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": NAME, "password": PASSWORD, "to": "/"})
        yield http


def count(world: ArmWorld) -> None:
    """As a day's count of what lies in storage leaves it."""
    now = world.clock.now()
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()["id"]
        told = Usage(
            instance_id=instance,
            day=now.to_tz("UTC").date().format_iso(),
            at=now,
            stored_bytes=9_000_000_000,
            points_bytes=8_000_000_000,
            unique_bytes=3_000_000_000,
            log_bytes=600_000_000,
            waiting_bytes=0,
            full_bytes=90_000_000_000,
            server_bytes=7_000_000_000,
        )
        usage.note(connection, told, {POINT: Share(unique=12_300_000, shared=4_560_000_000)})


def text_of(guest: httpx.Client, path: str) -> str:
    """What a page says, without its tags."""
    answer = guest.get(path)
    assert answer.status_code == 200
    body = re.sub(r"<[^>]*>", " ", answer.text.partition('<main id="main">')[2])
    return " ".join(unescape(body).split())


def test_a_point_tells_what_is_its_own_and_what_it_shares(guest: httpx.Client) -> None:
    told = text_of(guest, f"{INSTANCE}/points/{POINT}")
    assert "Its own 12.3 MB, free once it is deleted" in told
    assert "Shared 4.56 GB, with other points" in told
    assert "Its own" not in text_of(guest, f"{INSTANCE}/points/{2:032x}")  # not counted yet


def test_the_first_page_tells_what_is_due_how_far_points_reach_and_what_they_store(
    site: ArmWorld, guest: httpx.Client
) -> None:
    now = site.clock.now()
    oldest = now.subtract(hours=24 * 1860 + 2).to_tz("UTC")
    last = now.add(hours=24 * (3650 - 400) - 2).to_tz("UTC")  # of the newest that is kept 10 years
    due_in(site, 48)
    told = text_of(guest, "/")
    assert "Next 24 hours No backup is due by a policy." in told
    assert f"{oldest.year} to {last.year}" in told
    assert f"{oldest.year} to {last.year}" in text_of(guest, "/instances")
    due_in(site, 3)
    assert "1 backup: pg1-inst" in text_of(guest, "/")


def due_in(world: ArmWorld, hours: int) -> None:
    at = world.clock.now().add(hours=hours)
    with world.database.writing() as connection:
        connection.execute(schedules.update().values(next_fire_at=at))
