"""Lists of jobs: what is offered beside each row, and what comes to them without a new load."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld
from portal_rows import KEPT, fill
from portal_stream import parts_of, told_until
from strongroom.catalog.oversight import alerts
from strongroom.catalog.tables.keeping_tables import approvals, resource_guards
from strongroom.catalog.tables.portal_tables import job_samples
from strongroom.catalog.tables.tables import drills, instances, jobs, recovery_points
from strongroom.catalog.tables.wal_tables import wal_gaps, wal_streams
from strongroom.control.identities import users
from strongroom.model.identities.access import BACKUP_READER, OWNER
from strongroom.model.oversight.alert import WARNING, Cause
from strongroom.model.work.operation import Progress

PASSWORD = "four words of hers"
HOME = f"/subscriptions/{SUBSCRIPTION}"
INSTANCE = "/instances/backup-rg/v1/pg1-inst"
JOB = "/jobs/backup-rg/v1"
LISTS = ("/jobs", "/", INSTANCE)
FULL = {"code": "x", "message": "the disk is full", "hint": "make room"}
OLD = f"{sum(len(every) for _, every, _ in KEPT):032x}"  # the oldest point


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    users.create_user(world.control, "anna", PASSWORD, OWNER.id, HOME)
    users.create_user(world.control, "rita", PASSWORD, BACKUP_READER.id, HOME)
    fill(world)
    late = recovery_points.c.taken_at > world.clock.now().subtract(hours=24 * 30)
    with world.database.writing() as connection:  # so that it needs somebody
        connection.execute(recovery_points.delete().where(late))
    return world


@contextlib.contextmanager
def signed_in(site: ArmWorld, name: str) -> Iterator[httpx.Client]:
    with site.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": name, "password": PASSWORD, "to": "/"})
        yield http


@pytest.fixture(scope="module")
def anna(site: ArmWorld) -> Iterator[httpx.Client]:
    with signed_in(site, "anna") as found:
        yield found


@pytest.fixture(scope="module")
def rita(site: ArmWorld) -> Iterator[httpx.Client]:
    """She may look, and nothing else."""
    with signed_in(site, "rita") as found:
        yield found


@contextlib.contextmanager
def a_job(site: ArmWorld, name: str, **values: Any) -> Iterator[str]:
    """The row of a backup like the one that went well, but for these; the path of its page."""
    now = site.clock.now()
    told = {"started_at": now.subtract(minutes=3), "ended_at": None, **values}
    with site.database.writing() as connection:
        found = connection.execute(jobs.select().where(jobs.c.id == "j-done")).mappings().one()
        connection.execute(jobs.insert().values(**{**found, "id": name, **told}))
    yield f"{JOB}/{name}"
    with site.database.writing() as connection:
        connection.execute(job_samples.delete().where(job_samples.c.job_id == name))
        connection.execute(jobs.delete().where(jobs.c.id == name))


def key_of(guest: httpx.Client) -> str:
    """The session's own, which stands in each form."""
    found = re.search('name="form_key" value="([0-9a-f]{64})"', guest.get("/").text)
    assert found
    return found[1]


def forms_of(guest: httpx.Client, path: str, action: str) -> list[dict[str, str]]:
    """The hidden fields of each form of a page that is posted there."""
    page = guest.get(path).text.partition('<main id="main">')[2]
    forms = re.findall(rf'<form[^>]* action="{re.escape(action)}">(.*?)</form>', page, re.DOTALL)
    field = re.compile(r'name="(\w+)" value="([^"]*)"')
    return [dict(field.findall(form)) for form in forms]


def end(site: ArmWorld, name: str, **values: Any) -> None:
    with site.database.writing() as connection:
        this = jobs.update().where(jobs.c.id == name)
        connection.execute(this.values(ended_at=site.clock.now(), **values))


def test_what_failed_is_tried_again_from_each_list_by_whoever_may(
    site: ArmWorld, anna: httpx.Client, rita: httpx.Client
) -> None:
    backup = f"{INSTANCE}/backup"
    again = {"rule": "BackupWeekly", "full": "on"}
    assert not forms_of(anna, "/jobs", backup)  # what failed was followed by what did not
    with a_job(site, "j-bad", status="Failed", order={"full": True}, error=None):
        for path in LISTS:
            asked = [form for form in forms_of(anna, path, backup) if "rule" in form]
            assert asked == [{"form_key": key_of(anna), **again}], path
            assert "Try again" in anna.get(path).text
            assert not forms_of(rita, path, backup)
        forged = rita.post(backup, data={"form_key": key_of(rita), **again})
        assert forged.status_code == 403
        begun = anna.post(backup, data={"form_key": key_of(anna), **again})
        assert begun.status_code == 303
        name = begun.headers["location"].rpartition("/")[2]
        with site.database.reading() as connection:
            row = connection.execute(jobs.select().where(jobs.c.id == name)).mappings().one()
        assert (row["rule_name"], row["order"]["full"]) == ("BackupWeekly", True)
        for path in LISTS:  # it is under way: offered is to watch it
            assert "Try again" not in anna.get(path).text
        assert f'href="{begun.headers["location"]}">Watch</a>' in anna.get("/").text
        with site.database.writing() as connection:
            connection.execute(jobs.delete().where(jobs.c.id == name))


def test_jobs_are_shown_of_one_instance_open_to_their_steps_and_tell_how_changes_arrive(
    site: ArmWorld, anna: httpx.Client
) -> None:
    page = anna.get("/jobs?instance=PG1-inst").text
    assert 'id="steps-j-done"' in page
    assert "page=jobs&amp;instance=PG1-inst" in page  # the stream asks for the same
    none = anna.get("/jobs?instance=other").text
    assert "No job has ended like this." in none
    with a_job(site, "j-now", status="InProgress", ended_at=None):
        assert 'id="steps-j-now"' in anna.get("/jobs?instance=pg1-inst").text
        assert 'id="steps-j-now"' not in anna.get("/jobs?instance=other").text
    told = " ".join(re.sub("<[^>]*>", " ", page.partition('id="arriving">')[2]).split())
    assert told.startswith("Changes arriving 1 instance streams its log Behind, at most ")
    assert " pg1-inst Waiting none Gaps in the last 14 days none " in told
    with site.database.writing() as connection:
        of = connection.execute(sa.select(instances.c.id)).scalar_one()
        gap = {"instance_id": of, "timeline": 1, "why": "lost"}
        gap |= {"start_lsn": 1, "end_lsn": 2, "found_at": site.clock.now()}
        connection.execute(wal_gaps.insert().values(**gap))
        connection.execute(wal_streams.update().values(facts={"state": "Waiting"}))
    page = anna.get("/jobs").text
    told = " ".join(re.sub("<[^>]*>", " ", page.partition('id="arriving">')[2]).split())
    assert "none streams now Waiting 1 pg1-inst Gaps in the last 14 days 1 pg1-inst ," in told


@pytest.mark.parametrize(
    ("kind", "path", "fields"),
    [
        ("Drill", f"{INSTANCE}/drill", {"point": OLD, "again": "j-try"}),
        ("Verify", f"{INSTANCE}/points/{OLD}/verify", {}),
    ],
)
def test_a_drill_and_a_read_check_are_tried_again_of_the_same_point(
    site: ArmWorld, anna: httpx.Client, kind: str, path: str, fields: dict[str, str]
) -> None:
    must = [{"name": "orders are there", "query": "select true", "database": "shop"}]
    order = {"assertions": must} if kind == "Drill" else {}
    told = {"kind": kind, "status": "Failed", "recovery_point_id": OLD, "order": order}
    with a_job(site, "j-try", **told):
        form = {"form_key": key_of(anna), **fields}
        assert form in forms_of(anna, "/jobs", path)
        answer = anna.post(path, data=form)
        assert answer.status_code == 303, answer.text[answer.text.find("<main") :][:900]
        begun = answer.headers["location"].rpartition("/")[2]
        with site.database.writing() as connection:
            mine = jobs.c.id == begun
            asked = connection.execute(sa.select(jobs.c.order).where(mine)).scalar_one()
            connection.execute(jobs.delete().where(mine))
        assert asked.get("assertions", []) == order.get("assertions", [])  # by the same measure


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({}, "&amp;directory=%2Fsrv%2Fnew"),
        ({"part": {"kind": "table"}}, ""),  # what of it is asked again
        ({"in_place": True}, ""),
    ],
)
def test_a_restore_is_tried_again_by_the_wizard_which_asks_first(
    site: ArmWorld, anna: httpx.Client, rita: httpx.Client, order: dict[str, Any], told: str
) -> None:
    asked = {"target_directory": "/srv/new", **order}
    kind = {"kind": "Restore", "recovery_point_id": OLD, "order": asked}
    link = f'href="{INSTANCE}/restore?point={OLD}{told}">Try again…'
    with a_job(site, "j-back", status="Failed", **kind) as job:
        for path in ("/jobs", job):
            assert link in anna.get(path).text
            assert "Try again" not in rita.get(path).text


def test_a_job_is_stopped_from_its_row_by_whoever_may(
    site: ArmWorld, anna: httpx.Client, rita: httpx.Client
) -> None:
    with a_job(site, "j-run", status="InProgress") as job:
        for path in LISTS:
            assert forms_of(anna, path, f"{job}/cancel") == [{"form_key": key_of(anna)}], path
            assert not forms_of(rita, path, f"{job}/cancel")
        assert rita.post(f"{job}/cancel", data={"form_key": key_of(rita)}).status_code == 403
        assert anna.post(f"{job}/cancel", data={"form_key": "0" * 64}).status_code == 403
        assert ">1 running<" in anna.get("/cost").text  # as the menu counts
        stopped = anna.post(f"{job}/cancel", data={"form_key": key_of(anna)})
        assert stopped.headers["location"] == job
        assert "Cancelled" in anna.get(job).text
        assert 'id="count-jobs"></span>' in anna.get("/cost").text


def test_a_clean_up_cannot_be_stopped(site: ArmWorld, anna: httpx.Client) -> None:
    with a_job(site, "j-clean", status="InProgress", kind="CollectGarbage") as job:
        assert job in anna.get("/jobs").text
        assert not forms_of(anna, "/jobs", f"{job}/cancel")


def test_a_row_draws_how_fast_its_job_goes_lately(site: ArmWorld, anna: httpx.Client) -> None:
    done = msgspec.to_builtins(Progress(step="Reading", done_bytes=900, total_bytes=10_000))
    with a_job(site, "j-fast", status="InProgress", progress=done):
        assert 'class="spark"' not in anna.get("/jobs").text
        tell_samples(site, "j-fast", ago=(120, 80, 40))
        page = anna.get("/jobs").text
        assert 'class="spark"' in page
        assert "no bytes just now" not in page
        tell_samples(site, "j-fast", ago=(170, 160, 150))
        page = anna.get("/jobs").text  # and so it is not told when it will be done
        assert "<span>0 B/s</span>" in page
        assert "no bytes just now" in page


def tell_samples(site: ArmWorld, job: str, ago: tuple[int, ...]) -> None:
    """So many seconds ago it had read 300, 600 and so on."""
    with site.database.writing() as connection:
        connection.execute(job_samples.delete().where(job_samples.c.job_id == job))
        for number, seconds in enumerate(ago):
            row = {"job_id": job, "number": number, "step": "Reading", "note": ""}
            row |= {"done_bytes": 300 * (number + 1), "stored_bytes": 0}
            at = site.clock.now().subtract(seconds=seconds)
            connection.execute(job_samples.insert().values(**row, at=at))


def test_jobs_that_begin_and_end_come_to_the_page_as_it_is_filtered(
    site: ArmWorld, anna: httpx.Client
) -> None:
    page = anna.get("/jobs?status=Failed&kind=Backup").text
    assert 'data-events="/portal/events?page=jobs&amp;status=Failed&amp;kind=Backup"' in page
    watched = {"page": "jobs", "status": "Failed", "kind": "Backup"}
    with anna.stream("GET", "/portal/events", params=watched, timeout=60) as answer:
        parts = parts_of(answer)
        first = told_until(parts, **{"ended-part": "j-failed", "running": "Nothing is under way"})
        assert "j-done" not in first["ended-part"]
        with a_job(site, "j-one", status="InProgress"):
            told_until(parts, **{"running": "j-one", "count-jobs": "1 running"})
            end(site, "j-one", status="Failed", error=FULL)
            then = told_until(parts, **{"ended-part": "the disk is full", "ended-count": "2"})
            assert "Try again" in then["ended-part"]
            assert "j-done" not in then["ended-part"]


def test_what_needs_somebody_comes_to_the_first_page(site: ArmWorld, anna: httpx.Client) -> None:
    with (
        a_job(site, "j-new", status="InProgress"),
        anna.stream("GET", "/portal/events", params={"page": "overview"}, timeout=60) as answer,
    ):
        parts = parts_of(answer)
        told_until(parts, needs=f'href="{JOB}/j-new">Watch')
        end(site, "j-new", status="Failed", error=FULL)
        told_until(parts, needs="Try again")
        # With the job that made it a new point comes to the table, the wall and what is due.
        with site.database.writing() as connection:
            new = dict(connection.execute(recovery_points.select().limit(1)).mappings().one())
            new |= {"id": "fresh", "taken_at": site.clock.now(), "job_id": "j-next"}
            connection.execute(recovery_points.insert().values(**new))
        with a_job(site, "j-next", status="InProgress"):
            told = told_until(parts, instances="Protected<", wall="1 protected, restore")
        assert 'id="due"' in told["due"]
    with site.database.writing() as connection:
        connection.execute(recovery_points.delete().where(recovery_points.c.id == "fresh"))


@pytest.mark.parametrize("page", ["alerts", "approvals", "drills"])
def test_lists_of_what_needs_somebody_change_by_themselves(
    site: ArmWorld, anna: httpx.Client, page: str
) -> None:
    assert f'data-events="/portal/events?page={page}"' in anna.get(f"/{page}").text
    with anna.stream("GET", "/portal/events", params={"page": page}, timeout=60) as answer:
        parts = parts_of(answer)
        first = told_until(parts, pulse="pulse")
        assert "live" not in first  # the page itself was written a moment ago
        assert "running" not in first
        words = something_new(site, page)
        with a_job(site, f"j-{page}", status="InProgress"):
            assert words in told_until(parts, live=words)["live"]


def something_new(site: ArmWorld, page: str) -> str:
    """What such a page tells of, and the words that it is told in."""
    now = site.clock.now()
    with site.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()
        if page == "alerts":
            told = {"key": "new", "subject": "", "severity": WARNING, "words": "", "hint": ""}
            alerts.begin(connection, "a-new", Cause(title="a new trouble", **told), now)
            return "a new trouble"
        if page == "drills":
            last = dict(connection.execute(drills.select().limit(1)).mappings().one())
            last |= {"id": "d-new", "began_at": now, "ended_at": now, "verdict": "Failed"}
            connection.execute(drills.insert().values(**last))
            return "/drills/d-new"
        home = f"{HOME}/resourceGroups/backup-rg"
        guard = {"id": "g1", "resource_group_key": "backup-rg", "name": "g1", "name_key": "g1"}
        guard |= {"location": "local", "tags": {}, "exclusions": [], "version": 1}
        connection.execute(resource_guards.insert().values(**guard, delay_hours=0, created_at=now))
        asked = {"id": "q1", "guard_id": "g1", "operation": "purge", "scope": home, "asked": {}}
        asked |= {"digest": "d", "asked_by": instance["id"], "asked_at": now}
        asked |= {"state": "Waiting", "expires_at": now.add(hours=1)}
        connection.execute(approvals.insert().values(**asked))
        return "asks to purge"
