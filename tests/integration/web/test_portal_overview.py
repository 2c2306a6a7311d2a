"""What the first page tells of what comes and of how far one can go back: read as text."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from whenever import Instant

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld
from portal_rows import fill
from strongroom.catalog.oversight import alerts
from strongroom.catalog.tables.portal_tables import job_samples
from strongroom.catalog.tables.tables import agent_operations, instances, jobs, servers
from strongroom.catalog.tables.wal_tables import wal_packs, wal_streams
from strongroom.control.identities import users
from strongroom.model.identities.access import OWNER
from strongroom.model.oversight.alert import WARNING, Cause
from strongroom.model.protection.backup_settings import BackupSettings
from strongroom.model.work.operation import BY_LIMIT, BY_NETWORK, BY_SERVER, Progress
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


def test_what_needs_somebody_and_is_no_instance_stands_on_the_first_page(
    site: ArmWorld, guest: httpx.Client
) -> None:
    now = site.clock.now()
    cause = Cause(
        key="storage",
        subject="",
        severity=WARNING,
        title="the storage fills",
        words="It is full in nine days.",
        hint="Make room.",
    )
    with site.database.writing() as connection:
        alerts.begin(connection, "a-storage", cause, now)
        told = msgspec.structs.replace(cause, key="protection:x", title="told by its state")
        alerts.begin(connection, "a-state", told, now)
    shown = text_of(guest, "/")
    assert "Needs you 1 the storage fills It is full in nine days. Make room." in shown
    assert "told by its state" not in shown
    with site.database.writing() as connection:
        alerts.change(connection, "a-storage", acknowledged_at=now, acknowledged_by="x")
    assert "the storage fills" not in text_of(guest, "/")
    with site.database.writing() as connection:
        for each in ("a-storage", "a-state"):
            alerts.change(connection, each, ended_at=now)


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


@pytest.fixture
def live(site: ArmWorld) -> Iterator[None]:
    """A backup under way, `j-live`, whose agent holds it."""
    now = site.clock.now()
    with site.database.writing() as connection:
        agent = connection.execute(sa.select(servers.c.agent_id)).scalars().first()
        found = connection.execute(jobs.select().where(jobs.c.id == "j-done")).mappings().one()
        row = {**found, "id": "j-live", "status": "InProgress", "ended_at": None}
        connection.execute(jobs.insert().values(**row))
        asked = {"id": "o-live", "job_id": "j-live", "agent_id": agent, "kind": "backup"}
        asked |= {"status": "leased", "epoch": 1, "withdrawn": 0, "created_at": now}
        asked |= {"order": {"bandwidth": 8_000_000}, "progress": {}}
        asked |= {"lease_until": now.add(hours=1)}
        connection.execute(agent_operations.insert().values(**asked))
    yield
    with site.database.writing() as connection:
        connection.execute(agent_operations.delete().where(agent_operations.c.id == "o-live"))
        connection.execute(job_samples.delete().where(job_samples.c.job_id == "j-live"))
        connection.execute(jobs.delete().where(jobs.c.id == "j-live"))


def tell(world: ArmWorld, **progress: Any) -> None:
    """How far it is."""
    told = Progress(step="Reading", total_bytes=128_000_000, **progress)
    with world.database.writing() as connection:
        here = jobs.update().where(jobs.c.id == "j-live")
        connection.execute(here.values(progress=msgspec.to_builtins(told)))


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (BY_LIMIT, "Held back by your limit : this instance may send 8 MB/s at most"),
        (BY_NETWORK, "Held back by the network between agent agent-1 and the vault's storage."),
        (BY_SERVER, "Held back by the server's disk : it is read as fast as it gives."),
    ],
)
def test_a_job_tells_what_it_waits_for_while_it_goes_on(
    site: ArmWorld, guest: httpx.Client, live: None, by: str, words: str
) -> None:
    tell(site, done_bytes=1_000_000)
    assert "Held back" not in text_of(guest, "/")
    tell(site, done_bytes=2_000_000, held_by=by)
    assert words in text_of(guest, "/")


def test_a_job_that_does_not_move_is_stalled_though_its_agent_is_heard(
    site: ArmWorld, guest: httpx.Client, live: None
) -> None:
    tell(site, done_bytes=3_000_000)
    sample = {"job_id": "j-live", "number": 0, "step": "Reading", "note": "", "stored_bytes": 0}
    sample |= {"done_bytes": 3_000_000, "at": site.clock.now().subtract(minutes=15)}
    with site.database.writing() as connection:
        connection.execute(job_samples.insert().values(**sample))
    told = text_of(guest, "/jobs")
    assert "Stalled. Nothing has moved since" in told
    assert "though agent agent-1 is heard" in told
    tell(site, done_bytes=3_500_000)  # it goes on
    assert "Stalled" not in text_of(guest, "/jobs")
