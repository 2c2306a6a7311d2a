"""What pages tell of points, of what is due and of jobs: read as text, without a browser."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from arm_story import Story, assignment_body, assignment_id
from arm_world import SUBSCRIPTION, VERSION, ArmWorld, vault_id
from portal_rows import BROKEN, KEPT, POINT, fill
from portal_stream import parts_of, told_until
from strongroom.catalog.oversight import alerts as alert_rows
from strongroom.catalog.points import censuses, storage_findings
from strongroom.catalog.tables.keeping_tables import approvals, resource_guards
from strongroom.catalog.tables.portal_tables import job_samples
from strongroom.catalog.tables.tables import (
    agent_operations,
    agents,
    instances,
    jobs,
    recovery_points,
    schedules,
    servers,
)
from strongroom.catalog.usage import bills, usage
from strongroom.control.identities import users
from strongroom.control.overview import alerts
from strongroom.model.identities.access import OWNER, READER
from strongroom.model.oversight.bill import Bill, month_of
from strongroom.model.points.usage import Share, Usage
from strongroom.model.work.operation import Progress

NARROW = "only-x"
HOME = f"/subscriptions/{SUBSCRIPTION}"
NAME, PASSWORD = "anna", "four words of hers"
INSTANCE = "/instances/backup-rg/v1/pg1-inst"


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    home = f"/subscriptions/{SUBSCRIPTION}"
    users.create_user(world.control, NAME, PASSWORD, OWNER.id, home)
    users.create_user(world.control, NARROW, PASSWORD, OWNER.id, f"{home}/resourceGroups/x")
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


def test_points_are_shown_by_tag_kind_and_day_a_page_at_a_time_and_a_link_may_ask(
    site: ArmWorld, guest: httpx.Client
) -> None:
    def rows_of(asked: str) -> int:
        return guest.get(f"{INSTANCE}/points{asked}").text.partition("<tbody>")[2].count("<tr>")

    rows = rows_of("")
    yearly = guest.get(f"{INSTANCE}/points?tag=Yearly").text.partition("<tbody>")[2]
    assert 0 < yearly.count("<tr>") == yearly.count('data-tag="yearly"') < rows
    both = text_of(guest, f"{INSTANCE}/points?tag=Yearly&kind=Logical")
    assert f"None of {rows} recovery points is like that." in both
    day = site.clock.now().to_tz("UTC").date().subtract(days=60)
    before = [d for _, every, _ in KEPT for d in every if d >= 60]
    assert len(before) - rows_of(f"?until={day}") in {0, 1}  # of that day itself it may be one
    assert "is no day" in guest.get(f"{INSTANCE}/points?until=yesterday").text
    put_points(site, 160)
    assert f"Recovery points {rows + 160} Newest first" in text_of(guest, f"{INSTANCE}/points")
    assert [rows_of(f"?page={page}") for page in (1, 2, 3)] == [100, rows + 60, 0]
    first = guest.get(f"{INSTANCE}/points?tag=Default").text
    assert 'href="/instances/backup-rg/v1/pg1-inst/points?tag=Default&amp;page=2">Older' in first
    assert "There is no page 3." in text_of(guest, f"{INSTANCE}/points?page=3")
    with site.database.writing() as connection:
        connection.execute(recovery_points.delete().where(recovery_points.c.job_id == "many"))


def put_points(world: ArmWorld, count: int) -> None:
    """As a policy that takes one every hour has them."""
    with world.database.writing() as connection:
        newest = recovery_points.select().where(recovery_points.c.id == POINT)
        row = dict(connection.execute(newest).mappings().one())
        rows = [
            {**row, "id": f"m{n}", "job_id": "many", "taken_at": row["taken_at"].subtract(hours=n)}
            for n in range(1, count + 1)
        ]
        connection.execute(recovery_points.insert(), rows)


def test_a_vault_tells_what_would_be_left_and_what_was_done_to_it(
    site: ArmWorld, guest: httpx.Client
) -> None:
    page = guest.get("/vaults/backup-rg/v1").text
    left = page.partition("If every backup stopped today")[2].partition("</table>")[0]
    counts = [
        int(each.replace(",", "")) for each in re.findall(r'<td class="r">([\d,]+)</td>', left)
    ]
    now = site.clock.now().to_tz("UTC")
    with site.database.reading() as connection:
        ends = connection.execute(sa.select(recovery_points.c.expires_at)).scalars().all()
    years = [now.add(years=number).to_instant() for number in range(len(counts))]
    assert counts == [sum(end > year for end in ends) for year in years]
    assert counts[0] > counts[1] > counts[-2] > counts[-1] == 0
    told = text_of(guest, "/vaults/backup-rg/v1")
    assert "Immutability Not locked" in told
    assert "Second person Nobody is asked" in told
    assert "own book Not compared yet" in told
    assert "wrote policy pgflex of vault v1 in backup-rg 127.0.0.1 done" in told
    assert "<code>policy/write</code>" in page  # the record itself is one step away
    with site.database.writing() as connection:
        instance = connection.execute(sa.select(instances.c.id)).scalar_one()
        censuses.note(connection, instance, site.clock.now())
    told = text_of(guest, "/vaults/backup-rg/v1")
    assert "own book Compared" in told
    with site.database.writing() as connection:
        lost = ("p/1", "a point needs it")
        storage_findings.add(connection, instance, "missing", lost, site.clock.now())
    told = text_of(guest, "/vaults/backup-rg/v1")
    assert "Something differs 1 object that a point needs is missing." in told
    with site.database.writing() as connection:
        storage_findings.replace(connection, instance, "missing", {}, site.clock.now())
    assert "Audit of this vault" in told
    assert f"/audit?scope={vault_id('v1')}" in page
    with site.http("nobody") as http:  # whoever may not read the audit sees none of it
        del http.headers["Authorization"]
        users.create_user(site.control, "vera", PASSWORD, READER.id, vault_id("v1"))
        http.post("/sign-in", data={"name": "vera", "password": PASSWORD, "to": "/"})
        assert "Audit of this vault" not in text_of(http, "/vaults/backup-rg/v1")


def test_a_vault_of_the_same_name_in_another_group_has_none_of_its_instances(
    site: ArmWorld, guest: httpx.Client
) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/other-rg"
    there = f"{group}/providers/Microsoft.DataProtection/backupVaults/v1"
    with site.http() as http:
        for url in (group, there):
            answer = http.put(url, params=VERSION, json={"location": "local"})
            assert answer.status_code in {200, 201}, answer.text
        policy = f"{vault_id()}/backupPolicies/pgflex"
        told = http.get(policy, params=VERSION).json()
        body = {"properties": told["properties"]}
        assert http.put(f"{there}/backupPolicies/pgflex", params=VERSION, json=body).is_success
    used = re.findall(r"pgflex v1 .*?(\d+) instances?", text_of(guest, "/policies"))
    assert sorted(used) == ["0", "1"]
    assert "0 instances" in text_of(guest, "/vaults/other-rg/v1")
    assert "1 instance," in text_of(guest, "/vaults/BACKUP-RG/V1")
    assert guest.get("/instances/other-rg/v1/pg1-inst/points").status_code == 404


def test_a_policy_shows_before_it_is_saved_what_will_lie_there_in_ten_years(
    site: ArmWorld, guest: httpx.Client
) -> None:
    last = site.clock.now().to_tz("UTC").year + 10
    page = guest.get("/policies/backup-rg/v1/brand-new").text
    assert f"<h3>Kept in {last}</h3>" in page
    lanes = re.findall(r"<p><b>(\d+) (\w+)</b>", page)
    (row,) = re.findall(r"<tr>((?:(?!<tr>).)*)</tr></tbody>", page.partition("Ten years ahead")[2])
    told = dict(re.findall(r'data-label="(\w+)">(\d+)<', row))
    assert {tag: count for count, tag in lanes} == {tag: told[tag] for _, tag in lanes}
    assert sum(int(count) for count, _ in lanes) == int(told["All"])
    assert page.count('class="left"') > 10  # each of them a line, from today to its end


def test_each_list_leads_to_the_instance_and_a_vault_counts_what_lies_in_it(
    guest: httpx.Client,
) -> None:
    for path, words in (("/servers", "pg1"), ("/cost", "pg1-inst")):
        assert f'<th scope="row"><a href="{INSTANCE}">{words}</a>' in guest.get(path).text
    points = len([day for _, every, _ in KEPT for day in every])
    assert f"v1 backup-rg not locked 14 days not asked for 1 {points} none" in text_of(
        guest, "/vaults"
    )
    assert "pgflex v1 7 days Default" in text_of(guest, "/policies")


def test_an_instance_tells_how_it_is_backed_up_and_how_that_is_changed(
    guest: httpx.Client,
) -> None:
    told = text_of(guest, INSTANCE)
    assert "Bandwidth no limit Compression zstd, level 1 Starts at any time of day" in told
    assert "strongroom server set pg1 --bandwidth 50MiB/s" in told


def test_a_backup_that_failed_can_be_tried_again_by_whoever_may_back_up(
    site: ArmWorld, guest: httpx.Client
) -> None:
    job = f"/jobs/backup-rg/v1/{BROKEN}"
    form = f'action="{INSTANCE}/backup"'
    page = guest.get(job).text
    assert form in page
    assert 'name="rule" value="BackupWeekly"' in page  # by the rule that it was taken by
    key = re.search('name="form_key" value="([0-9a-f]{64})"', page)
    assert key
    other = guest.post(f"{INSTANCE}/backup", data={"form_key": key[1], "rule": "Nope"})
    assert other.status_code == 400
    assert "Nope" in other.text
    assert form not in guest.get("/jobs/backup-rg/v1/j-done").text
    users.create_user(site.control, "rita", PASSWORD, READER.id, f"/subscriptions/{SUBSCRIPTION}")
    with site.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": "rita", "password": PASSWORD, "to": "/"})
        told = http.get(job).text
    assert "does not answer" in told
    assert form not in told


def test_what_has_cost_something_costs_that_when_it_is_gone(
    site: ArmWorld, guest: httpx.Client
) -> None:
    now = site.clock.now()
    month = now.to_tz("UTC").date().replace(day=1)
    before = month.subtract(months=1)
    gone = {"instance_id": "gone", "resource_group": "backup-rg", "vault": "v1", "tags": {}}
    gone |= {"name": "old-shop", "redundancy": "LocallyRedundant", "unit_months": 1.0, "at": now}
    gone |= {"gb_months": 9.5, "units_price": 1000.0, "storage_price": 5.25, "currency": "EUR"}
    with site.database.writing() as connection:
        written = [Bill(**gone, month=month_of(each), closed=True) for each in (month, before)]
        bills.note(connection, written)
        hidden = {**gone, "instance_id": "other", "resource_group": "x", "name": "foreign"}
        bills.note(connection, [Bill(**hidden, month=month_of(before), closed=True)])
    told = text_of(guest, "/cost")
    assert "1005.25 of it for 1 instance no longer protected" in told
    assert re.search(r"to date 2 [0-9.]+ [0-9.]+ 10[0-9.]+ EUR", told)
    page = text_of(guest, f"/cost/{month_of(before)}")
    assert "old-shop no longer protected v1 1.00 1000.00 9.50 5.25 1005.25 EUR" in page
    lines = guest.get("/cost-by-month.csv").text.splitlines()
    assert f"{month_of(before)},closed,old-shop,v1,LocallyRedundant,EUR,1.0000" in lines[-1]
    assert guest.get("/cost/2001-01").status_code == 404
    with site.http("nobody") as http:  # of somebody who may see that one vault alone
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": NARROW, "password": PASSWORD, "to": "/"})
        assert "old-shop" not in http.get("/cost-by-month.csv").text


def test_a_budget_is_told_against_the_month_and_the_years_ahead_and_what_would_change_them(
    site: ArmWorld, guest: httpx.Client
) -> None:
    key = re.search('name="form_key" value="([0-9a-f]{64})"', guest.get("/cost").text)
    assert key
    guest.headers["referer"] = f"{site.url}/cost"

    def allow(amount: str) -> httpx.Response:
        asked = {"form_key": key[1], "budget": "Operations", "amount": amount}
        return guest.post("/cost/budget", data=asked)

    assert "There is no budget" in text_of(guest, "/cost/ahead")
    assert allow("much").status_code == 400
    assert "lasts all ten years" in (allow("9000"), text_of(guest, "/cost/ahead"))[1]
    assert "Operations allows 9 000 EUR a month:" in text_of(guest, "/cost")
    assert "within." in text_of(guest, "/cost")
    assert "is exceeded already" in (allow("1"), text_of(guest, "/cost/ahead"))[1]
    assert "over." in text_of(guest, "/cost")
    page = guest.get("/cost/ahead").text
    assert page.count("<g><title>") == 11
    assert 'class="budget"' in page
    bars = re.findall(
        r"<title>(\S+): ([0-9.]+) EUR a month((?:, [a-z, ]+ [0-9.]+)+)</title>", page
    )
    for _, total, pieces in bars:  # what is told of a bar is the bar
        told = [float(each) for each in re.findall(r" ([0-9.]+)", pieces)]
        assert abs(sum(told) - float(total)) < 0.05
    assert bars[0][1] in re.findall(r"([0-9.]+) EUR a month", text_of(guest, "/cost"))[0]
    with site.http("nobody") as http:  # whoever may not change it is not offered to, and refused
        del http.headers["Authorization"]
        users.create_user(site.control, "olga", PASSWORD, READER.id, HOME)
        http.post("/sign-in", data={"name": "olga", "password": PASSWORD, "to": "/"})
        seen = http.get("/cost").text
        assert "/cost/budget" not in seen
        assert "Operations: 1.00 EUR a month." in seen
        own = re.search('name="form_key" value="([0-9a-f]{64})"', seen)
        assert own
        asked = {"form_key": own[1], "budget": "mine", "amount": "9"}
        assert http.post("/cost/budget", data=asked).status_code == 403
    allow("")
    assert "There is no budget" in text_of(guest, "/cost/ahead")


def test_one_field_finds_databases_points_and_jobs(site: ArmWorld, guest: httpx.Client) -> None:
    def found(word: str) -> str:
        return text_of(guest, f"/instances?find={word}")

    assert "pg1-inst has the database shop." in found("SHO")
    assert "None fits" in found("no-such-database")
    job = site.chance.bytes(16).hex()
    dashed = "-".join((job[:8], job[8:12], job[12:16], job[16:20], job[20:]))
    put_job(site, dashed, "offered")
    for word in (job, dashed, job[:9]):
        assert f"Backup of pg1-inst {dashed}" in found(word)
    assert f"Recovery point of pg1-inst {POINT}" in found(POINT)
    link = re.search(r'<h3><a href="([^"]+)"', guest.get(f"/instances?find={POINT}").text)
    assert link
    assert POINT in text_of(guest, link[1])
    with site.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": NARROW, "password": PASSWORD, "to": "/"})
        for word in (POINT, job, "shop"):
            assert "None fits" in text_of(http, f"/instances?find={word}")


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


def test_a_job_tells_what_it_waits_for_and_when_it_has_stalled(
    site: ArmWorld, guest: httpx.Client
) -> None:
    due_in(site, -1)
    first, second = put_job(site, "j-run", "leased"), put_job(site, "j-next", "offered")
    lease(site, first, seconds=600)
    told = text_of(guest, "/jobs")
    assert "Waiting for agent agent-1, which is busy with backup of pg1-inst ." in told
    assert "it begins when the job of this instance that is under way has ended" in told
    assert "Stalled" not in told
    lease(site, first, seconds=-600)
    assert "Stalled. Agent agent-1 was last heard" in text_of(guest, "/jobs")
    assert "Stalled. Agent agent-1 was last heard" in text_of(guest, first)
    with site.database.writing() as connection:
        connection.execute(agents.update().values(seen_at=site.clock.now().subtract(hours=2)))
    assert "Waiting for agent agent-1, last heard" in text_of(guest, second)


def test_a_page_of_a_running_job_is_told_of_its_steps_its_speed_and_its_log(
    site: ArmWorld, guest: httpx.Client
) -> None:
    lease(site, put_job(site, "j-live", "leased"), seconds=600)  # its agent goes on with it
    watched = {"job": "backup-rg/v1/j-live"}
    with guest.stream("GET", "/portal/events", params=watched, timeout=60) as answer:
        parts = parts_of(answer)
        first = told_until(parts, log="Level", progress="Reading", speed="No bytes")
        assert "Sealing" not in first["log"]
        goes_on(site, "j-live")
        words = {"progress": "64 MB", "speed": "a second on average", "log": "Sealing"}
        assert told_until(parts, **words).keys() >= words.keys()
        with site.database.writing() as connection:
            over = jobs.update().where(jobs.c.id == "j-live").values(status="Completed")
            connection.execute(over.values(ended_at=site.clock.now()))
        told_until(parts, again="now")  # the page is over: its browser loads it anew


def goes_on(world: ArmWorld, job: str) -> None:
    """Its agent has read on."""
    done = Progress(step="Sealing", done_bytes=64_000_000, total_bytes=128_000_000)
    with world.database.writing() as connection:
        told = jobs.update().where(jobs.c.id == job)
        connection.execute(told.values(progress=msgspec.to_builtins(done)))
        sample = {"job_id": job, "number": 0, "at": world.clock.now(), "step": done.step}
        sample |= {"note": "", "done_bytes": done.done_bytes, "stored_bytes": 1_000_000}
        connection.execute(job_samples.insert().values(**sample))


def put_job(world: ArmWorld, name: str, status: str) -> str:
    """A backup under way, whose agent has it or is offered it; the path of its page."""
    now = world.clock.now()
    with world.database.writing() as connection:
        agent = connection.execute(sa.select(servers.c.agent_id)).scalars().first()
        found = connection.execute(jobs.select().where(jobs.c.id == "j-done")).mappings().one()
        row = {**found, "id": name, "status": "InProgress", "ended_at": None}
        row["started_at"] = now.subtract(seconds=20)
        row["progress"] = msgspec.to_builtins(Progress(step="Reading", done_bytes=1_000_000))
        connection.execute(jobs.insert().values(**row))
        asked = {"id": f"o-{name}", "job_id": name, "agent_id": agent, "kind": "backup"}
        asked |= {"status": status, "epoch": 1, "withdrawn": 0, "order": {}, "progress": {}}
        asked |= {"created_at": now, "lease_until": now if status == "leased" else None}
        connection.execute(agent_operations.insert().values(**asked))
    return f"/jobs/backup-rg/v1/{name}"


def lease(world: ArmWorld, path: str, *, seconds: int) -> None:
    """Its agent holds it until then."""
    job = agent_operations.c.job_id == path.rpartition("/")[2]
    until = world.clock.now().add(seconds=seconds)
    with world.database.writing() as connection:
        connection.execute(agent_operations.update().where(job).values(lease_until=until))


def test_a_failure_is_found_behind_hundreds_that_went_well(
    site: ArmWorld, guest: httpx.Client
) -> None:
    now = site.clock.now()
    many = jobs.c.id.like("j-many-%")
    with site.database.writing() as connection:
        found = connection.execute(jobs.select().where(jobs.c.id == "j-done")).mappings().one()
        rows = [{**found, "id": f"j-many-{n}", "started_at": now} for n in range(210)]
        connection.execute(jobs.insert(), rows)
    try:
        assert BROKEN not in guest.get("/jobs").text
        assert "Ended 200+" in text_of(guest, "/jobs")
        assert "The newest 100 are shown." in text_of(guest, "/jobs")
        assert f"/jobs/backup-rg/v1/{BROKEN}" in guest.get("/jobs?status=Failed&kind=Backup").text
        assert "start it, or mend its address" in text_of(guest, "/jobs?status=Failed")
        assert "No job has ended like this." in text_of(guest, "/jobs?kind=LongTermBackup")
    finally:
        with site.database.writing() as connection:
            connection.execute(jobs.delete().where(many))


def test_the_menu_counts_what_waits_for_somebody(site: ArmWorld, guest: httpx.Client) -> None:
    with site.database.writing() as connection:  # its agent is lost
        connection.execute(agent_operations.delete())
        connection.execute(agents.update().values(seen_at=site.clock.now().subtract(hours=2)))
    alerts.settle_alerts(site.control)
    with site.database.reading() as connection:
        there = alert_rows.open_ones(connection)
    assert there
    assert count_in_menu(guest, "Alerts") == len(there)
    for alert in there:
        guest.post(f"/alerts/{alert.id}", data={"form_key": key_of(guest)})
    assert count_in_menu(guest, "Alerts") == 0
    assert count_in_menu(guest, "Approvals") == 0
    ask_a_second_person(site)
    assert count_in_menu(guest, "Approvals") == 1


def count_in_menu(guest: httpx.Client, words: str) -> int:
    """The number beside them; 0 where there is none."""
    found = re.search(f'>{words}<span class="n" id="count-[a-z]+">([0-9]+)<', guest.get("/").text)
    return int(found[1]) if found else 0


def ask_a_second_person(world: ArmWorld) -> None:
    """A request that waits, and one of yesterday that is over."""
    now, guard = world.clock.now(), "0" * 32
    row = {"id": guard, "resource_group_key": "backup-rg", "name": "g", "name_key": "g"}
    row |= {"location": "local", "tags": {}, "exclusions": [], "delay_hours": 0, "version": 1}
    asked = {"guard_id": guard, "operation": "o", "scope": "s", "asked": "{}", "digest": "d"}
    asked |= {"asked_by": "somebody else", "asked_at": now, "state": "Waiting"}
    with world.database.writing() as connection:
        connection.execute(resource_guards.insert().values(**row, created_at=now))
        for name, hours in (("a1", 8), ("a2", -1)):
            end = now.add(hours=hours)
            connection.execute(approvals.insert().values(id=name, expires_at=end, **asked))


def test_a_role_of_ones_own_making_has_its_name_and_a_column_of_what_it_may(
    story: Story, guest: httpx.Client
) -> None:
    home, role = f"/subscriptions/{SUBSCRIPTION}", "00000000-0000-0000-0000-0000000000aa"
    allowed = {"actions": ["Microsoft.DataProtection/backupVaults/backupInstances/backup/action"]}
    made = {"roleName": "Night shift", "assignableScopes": [home], "permissions": [allowed]}
    definition = f"{home}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    story.put(definition, {"properties": made})
    told = assignment_body(role, story.world.owner_id)
    story.put(assignment_id(home, "00000000-0000-0000-0000-0000000000ab"), told)
    page = guest.get("/access").text
    assert '<td data-label="Role">Night shift</td>' in page
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page)
    cell = {
        words: "may" in re.findall('"Night shift"(.*?)</td>', row)[0] for words, row in rows[-17:]
    }
    assert [words for words, may in cell.items() if may] == ["Back up now, try a backup again"]


def test_a_restore_is_read_from_the_second_copy_where_the_vault_lets_it(
    site: ArmWorld, story: Story, guest: httpx.Client
) -> None:
    wizard = f"{INSTANCE}/restore"
    assert "The second copy" not in text_of(guest, wizard)
    cross_regions(story)
    assert "The second copy in local2" in text_of(guest, wizard)
    site.at_second = {POINT}
    with site.database.writing() as connection:  # an agent that is away is not waited for
        connection.execute(servers.update().values(seen_at=None))
    form = {"form_key": key_of(guest), "copy": "second", "directory": "/srv/second"}
    for path in (f"{wizard}/plan", wizard):
        refused = guest.post(path, data={**form, "point": f"{2:032x}"})
        assert refused.status_code == 400
        assert "is not at the second endpoint yet" in refused.text
    planned = guest.post(f"{wizard}/plan", data={**form, "point": POINT})
    assert "<dt>Reads</dt>" in planned.text
    begun = guest.post(wizard, data={**form, "point": POINT})
    assert begun.status_code == 303
    with site.database.reading() as connection:
        asked = jobs.select().where(jobs.c.id == begun.headers["location"].rpartition("/")[2])
        order = connection.execute(asked).mappings().one()["order"]
    assert (order["second"], order["target_directory"]) == (True, "/srv/second")


def cross_regions(story: Story) -> None:
    """The vault is copied to a second region, and restores may read it there."""
    stores = [{"datastoreType": "VaultStore", "type": "GeoRedundant"}]
    story.put(vault_id(), {"location": "local", "properties": {"storageSettings": stores}})
    settings = {"crossRegionRestoreSettings": {"state": "Enabled"}}
    body = {"properties": {"featureSettings": settings}}
    assert story.http.patch(vault_id(), params=VERSION, json=body).status_code == 200


def key_of(guest: httpx.Client) -> str:
    """The session's own, which stands in each form."""
    found = re.search('name="form_key" value="([0-9a-f]{64})"', guest.get("/alerts").text)
    assert found
    return found[1]
