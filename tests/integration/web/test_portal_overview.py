"""What the first page tells of what comes and of how far one can go back: read as text."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest
import sqlalchemy as sa
from whenever import Instant

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld
from portal_rows import fill
from strongroom.catalog.tables import instances
from strongroom.catalog.wal_tables import wal_packs, wal_streams
from strongroom.control import users
from strongroom.model.access import OWNER
from strongroom.model.backup_settings import BackupSettings
from strongroom.web.portal import words

NAME, PASSWORD = "anna", "four words of hers"


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    users.create_user(world.control, NAME, PASSWORD, OWNER.id, f"/subscriptions/{SUBSCRIPTION}")
    fill(world)
    return world


@pytest.fixture(scope="module")
def guest(site: ArmWorld) -> Iterator[httpx.Client]:
    with site.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": NAME, "password": PASSWORD, "to": "/"})
        yield http


def text_of(guest: httpx.Client, path: str) -> str:
    """What a page says, without its tags."""
    answer = guest.get(path)
    assert answer.status_code == 200
    body = re.sub(r"<[^>]*>", " ", answer.text.partition('<main id="main">')[2])
    return " ".join(unescape(body).split())


def test_the_next_day_has_its_drills(site: ArmWorld, guest: httpx.Client) -> None:
    assert "drill: pg1-inst" not in text_of(guest, "/")
    with site.database.writing() as connection:
        told = connection.execute(sa.select(instances.c.properties)).scalar_one()
        told = {**told, "strongroom": {"settings": BackupSettings(drill_days=7).to_dict()}}
        connection.execute(instances.update().values(properties=told))
    assert "due now 1 drill: pg1-inst" in text_of(guest, "/")


def test_any_second_is_told_since_the_point_that_the_log_joins(
    site: ArmWorld, guest: httpx.Client
) -> None:
    now = site.clock.now()
    joined = words.day(now.subtract(hours=2), "UTC")
    assert f"of 7 days {joined} " in text_of(guest, "/")
    stopped = now.subtract(hours=3)
    set_level(site, stopped)
    assert f"stopped {words.moment(stopped, 'UTC')}" in text_of(guest, "/")
    set_level(site, now)


def set_level(world: ArmWorld, at: Instant) -> None:
    """The log was last level with its server then."""
    with world.database.writing() as connection:
        connection.execute(wal_streams.update().values(kept_at=at))


def test_no_second_is_told_across_a_hole(site: ArmWorld, guest: httpx.Client) -> None:
    with site.database.writing() as connection:
        pack = dict(connection.execute(wal_packs.select()).mappings().one())
        far = {"start_lsn": pack["end_lsn"] + 1, "end_lsn": pack["end_lsn"] + 9}
        connection.execute(wal_packs.insert().values(**{**pack, "name": "far", **far}))
    assert "from the next point on" in text_of(guest, "/instances")
