"""Every page in a real browser: its console, what axe-core finds, how it fits a phone."""

import csv
import json
import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld, server_id
from portal_rows import BROKEN, DRILL, fill
from portal_world import NARROW, PICTURES, THEMES, Visitor, a_browser
from strongroom.catalog.tables.tables import instances, policies, role_assignments
from strongroom.control.identities import users
from strongroom.model.identities.access import BACKUP_READER, OWNER
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.policy_templates import ten_years_policy

NAME, PASSWORD = "anna", "four words of hers"
HOME = f"/subscriptions/{SUBSCRIPTION}"
INSTANCE = "/instances/backup-rg/v1/pg1-inst"
PAGES = {
    "overview": "/",
    "instances": "/instances",
    "instance": INSTANCE,
    "points": f"{INSTANCE}/points",
    "point": f"{INSTANCE}/points/{1:032x}",
    "restore": f"{INSTANCE}/restore",
    "jobs": "/jobs",
    "job": f"/jobs/backup-rg/v1/{BROKEN}",
    "drills": "/drills",
    "drill": f"{INSTANCE}/drills/{DRILL}",
    "policies": "/policies",
    "policy": "/policies/backup-rg/v1/pgflex",
    "policy-new": "/policies/backup-rg/v1/ten-years",
    "vaults": "/vaults",
    "vault": "/vaults/backup-rg/v1",
    "servers": "/servers",
    "protect": "/protect",
    "alerts": "/alerts",
    "cost": "/cost",
    "cost-ahead": "/cost/ahead",
    "reports": "/reports",
    "approvals": "/approvals",
    "audit": "/audit",
    "access": "/access",
    "settings": "/settings",
    "found": f"/instances?find={1:032x}",
    "not-found": "/instances/backup-rg/v1/no-such-instance",
}


# How far tables reach beyond what is seen of them.
BEYOND = """[...document.querySelectorAll('.scroll:has(.ledger)')].map(
  (around) => around.scrollWidth - around.clientWidth).filter((each) => each > 8)"""
PRESSED = """[...document.querySelectorAll('button, input, select, nav')].filter(
  (each) => each.checkVisibility()).map((each) => each.outerHTML)"""
ROW = """() => {
  const row = document.querySelector('.blocks tbody tr');
  const label = (cell) => getComputedStyle(cell, '::before').content.replaceAll('"', '');
  return {row: getComputedStyle(row).display,
          labels: [...row.querySelectorAll('td[data-label]')].map(label)};
}"""


BLOCKS = {  # pages whose first table is a list of blocks on a phone, and what these name
    "/jobs": {"Began", "Took", "Read"},
    f"{INSTANCE}/points": {"Tag", "State", "Data", "Expires"},
    "/drills": {"Restore proved", "Next drill"},
    "/audit": {"When", "Who", "From", "Outcome"},
    "/cost": {"Stored", "A month"},
    "/access": {"Role", "Where", "Since"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    users.create_user(world.control, NAME, PASSWORD, OWNER.id, HOME)
    users.create_user(world.control, "reader", PASSWORD, BACKUP_READER.id, HOME)
    fill(world)
    return world


@pytest.fixture(scope="module")
def visitor(browser: Browser, site: ArmWorld) -> Iterator[Visitor]:
    found = Visitor(browser, site.url)
    found.sign_in(NAME, PASSWORD)
    yield found
    found.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_sound_by_day_and_by_night(visitor: Visitor, page: str) -> None:
    visitor.said.clear()
    answer = visitor.page.goto(PAGES[page])
    missing = page == "not-found"
    assert answer is not None
    assert answer.status == (404 if missing else 200)
    assert [visitor.complaints(page, theme) for theme in THEMES] == [[], []]
    said = [each for each in visitor.said if not (missing and "404" in each)]
    assert said == []
    assert all((PICTURES / f"{page}-{theme}.png").exists() for theme in THEMES)


def test_every_page_fits_a_phone(browser: Browser, site: ArmWorld) -> None:
    found = Visitor(browser, site.url, NARROW)
    found.sign_in(NAME, PASSWORD)
    too_wide = {}
    for name, path in PAGES.items():
        found.page.goto(path)
        width = found.page.evaluate("document.documentElement.scrollWidth")
        beyond = found.page.evaluate(BEYOND)
        if width > NARROW["width"] or beyond:  # nothing is pushed aside to be read
            too_wide[name] = width, beyond
    for path, labels in BLOCKS.items():
        found.page.goto(path)
        shown = found.page.evaluate(ROW)
        assert (path, shown["row"]) == (path, "grid")
        assert labels <= set(shown["labels"])
    found.page.goto("/")
    found.page.click(".menu")
    found.page.click("#nav >> text=Jobs")
    found.page.wait_for_url("**/jobs")
    assert found.page.title().startswith("Jobs")
    found.close()
    assert too_wide == {}


def test_keys_lead_from_page_to_page(visitor: Visitor) -> None:
    visitor.page.goto("/")
    visitor.page.wait_for_selector(".key >> text=1 protected, restore proved")
    visitor.page.goto("/jobs")
    visitor.page.keyboard.press("g")
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("i")
    visitor.page.keyboard.press("/")
    assert visitor.page.evaluate("document.activeElement.id") == "find"
    visitor.page.goto("/jobs")
    visitor.page.keyboard.press("?")
    visitor.page.wait_for_selector("#keys >> text=Audit trail")
    assert visitor.complaints("keys", "light") == []
    visitor.page.keyboard.press("Escape")
    visitor.page.wait_for_selector("#keys", state="hidden")
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("/")
    visitor.page.wait_for_function("document.activeElement.id === 'find'")


def test_instances_are_found_as_one_types_and_the_address_can_be_passed_on(
    visitor: Visitor,
) -> None:
    visitor.page.goto("/instances")
    visitor.page.fill("#find", "no such thing")
    visitor.page.wait_for_selector("text=None fits.")
    visitor.page.wait_for_url("**/instances?find=no*")


def test_everything_reads_and_posts_without_a_script(browser: Browser, site: ArmWorld) -> None:
    context = browser.new_context(
        base_url=site.url, ignore_https_errors=True, java_script_enabled=False
    )
    page = context.new_page()
    page.goto(f"{INSTANCE}")
    page.fill("#name", NAME)
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(f"{site.url}{INSTANCE}")
    page.goto(f"{INSTANCE}/restore")
    page.fill("#directory", "not absolute")
    page.click("text=Start restore")
    page.wait_for_selector(".sheet >> text=is not an absolute path")
    assert page.input_value("#directory") == "not absolute"
    page.fill("#directory", "/srv/restore")
    page.click("text=A second")
    page.fill("#moment", "yesterday")
    page.click("text=Start restore")
    page.wait_for_selector(".sheet >> text=is no time")
    page.click("text=A recovery point")
    page.click("text=Start restore")
    page.wait_for_selector("h1:has-text('Restore of pg1-inst')")
    page.click("text=Dark")
    page.wait_for_selector("html[data-theme=dark]")
    context.close()


def test_the_second_before_something_went_is_picked_from_a_picture(visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{INSTANCE}/restore?when=time")
    page.click("text=One table")
    page.fill("#table", "public.orders")
    page.click("#seconds >> text=1 hour")
    page.wait_for_selector("#seconds [aria-current] >> text=1 hour")
    page.click("#seconds li:has-text('31\u202f902 rows of public.orders') >> text=Just before")
    page.wait_for_function("document.getElementById('moment').value.endsWith('.213999Z')")
    assert page.is_checked("[name=when][value=time]")
    assert page.is_checked("[name=what][value=table]")
    assert page.input_value("#table") == "public.orders"
    page.click("text=A named point")
    assert page.locator("#moment").is_hidden()
    assert page.locator("#names option").get_attribute("value") == "before v42"


def test_the_role_that_a_restore_lacks_is_given_beside_its_plan_and_the_focus_stays(
    site: ArmWorld, visitor: Visitor
) -> None:
    here = role_assignments.c.scope_key == server_id("pg1").lower()
    with site.database.writing() as connection:
        rows = [
            dict(row)
            for row in connection.execute(role_assignments.select().where(here)).mappings()
        ]
        connection.execute(role_assignments.delete().where(here))
    page = visitor.page
    page.goto(
        f"{INSTANCE}/restore?what=table&where=server&server=pg1&database=shop&table=public.orders"
    )
    page.click("text=Start restore")
    page.focus("#plan >> text=Give this role")
    page.keyboard.press("Enter")
    page.wait_for_selector("#plan >> text=Give this role", state="detached")
    assert page.evaluate("document.getElementById('plan').contains(document.activeElement)")
    with site.database.reading() as connection:
        assert len(connection.execute(role_assignments.select().where(here)).all()) == len(rows)


def test_a_refused_backup_says_what_was_not_done_what_to_do_and_leads_back(
    visitor: Visitor,
) -> None:
    page = visitor.page
    for _ in range(2):  # the second one meets the first
        page.goto(INSTANCE)
        with page.expect_navigation():
            page.click("text=Back up now")
    told = page.inner_text("main .news.bad")
    assert "A backup of pg1-inst is already running." in told
    assert "Wait until it ends" in told
    page.click("text=Back to where you were")
    page.wait_for_url(f"**{INSTANCE}")


def test_a_command_line_is_copied_as_it_stands(visitor: Visitor) -> None:
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(INSTANCE)
    page.click("code.cmd:has-text('strongroom points') [aria-label=Copy]")
    page.wait_for_selector("code.cmd [aria-label=Copied]")
    assert page.evaluate("navigator.clipboard.readText()") == "strongroom points pg1"


def test_an_instance_tells_its_half_year_and_how_far_its_log_is(visitor: Visitor) -> None:
    page = visitor.page
    page.goto(INSTANCE)
    assert "Yes, to the second." in page.inner_text(".answers")
    page.wait_for_selector("#stream >> text=every change arrives as it happens")
    ticks = {kind: page.locator(f".lens .{kind}").count() for kind in ("kept", "ends", "planned")}
    assert ticks["kept"] >= 20  # fourteen days, seven weeks and a month
    assert ticks["ends"] >= 20
    assert ticks["planned"] in {12, 13}  # Sundays of a quarter
    page.click("text=The same as a table")
    assert "10 years" in page.inner_text("#band-table >> tr:has-text('Yearly')")
    page.click("text=Pick a second…")
    page.wait_for_selector("#seconds")


def test_prices_are_ones_own_once_they_are_written(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/cost")
    assert "6.58 EUR a month" not in page.inner_text("main")  # storage costs something too
    page.fill("#unit", "1")
    page.fill("#locally_redundant", "0")
    page.click("text=Keep these prices")
    page.wait_for_selector("text=1.00 EUR a month")
    with page.expect_download() as saved:
        page.click("text=Download as CSV")
    (row,) = csv.DictReader(saved.value.path().read_text().splitlines())
    told = row["instance"], row["redundancy"], row["units cost"], row["total a month"]
    assert told == ("pg1-inst", "LocallyRedundant", "1.00", "1.00")


def test_the_next_ten_years_cost_what_the_policies_of_today_will_keep(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/policies/backup-rg/v1/pgflex")
    of_the_policy = page.inner_text("section.sheet tbody tr:last-child td:last-child")
    page.goto("/cost")
    page.click("text=And in ten years?")
    page.wait_for_selector("h1:has-text('The next ten years')")
    assert f"About {of_the_policy} EUR a month" in page.inner_text("main")
    assert page.inner_text("table >> nth=1 >> tbody tr td >> nth=-2") == of_the_policy
    between = page.inner_text("table >> nth=1 >> tbody tr td >> nth=-1")
    assert f"Between {between}, if everything grows" in page.inner_text("main")
    low, high = (float(each) for each in between.split(" and "))
    assert low <= float(of_the_policy) <= high
    page.goto("/policies/backup-rg/v1/pgflex")
    assert f"it is between {between} EUR a month" in page.inner_text("section.sheet")


def test_somebody_new_signs_in_with_a_password_that_is_shown_once(
    browser: Browser, site: ArmWorld, visitor: Visitor
) -> None:
    page = visitor.page
    page.goto("/access")
    page.fill("#name", "carol")
    page.click("text=Add them")
    password = page.inner_text(".sheet code.cmd")
    page.goto("/access")
    assert password not in page.content()
    carol = Visitor(browser, site.url)
    carol.sign_in("carol", password)
    carol.page.goto("/settings")
    for field, value in (("old", password), ("new", "five words of her own"), ("again", "x")):
        carol.page.fill(f"#{field}", value)
    carol.page.click("text=Change password")
    carol.page.wait_for_selector("main >> text=The two new passwords differ")
    for field, value in (("old", password), ("new", "five words of her own")):
        carol.page.fill(f"#{field}", value)
    carol.page.fill("#again", "five words of her own")
    carol.page.click("text=Change password")
    carol.page.wait_for_url("**/sign-in")
    carol.sign_in("carol", "five words of her own")
    carol.page.goto("/access")
    assert carol.page.locator("text=Add them").count() == 0
    carol.close()


def test_a_report_says_the_same_as_a_page_as_csv_and_as_json(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/reports")
    assert "0 of 1 lack one" in page.inner_text("main")
    found = page.evaluate("fetch('/reports.json').then(answer => answer.json())")
    assert [each["instance"] for each in found["instances"]] == ["pg1-inst"]
    text = page.evaluate("fetch('/reports.csv').then(answer => answer.text())")
    assert text.splitlines()[0].split(",") == list(found["instances"][0])
    assert str(found["instances"][0]["points"]) in text.splitlines()[1].split(",")


def test_a_report_is_printed_on_paper_without_what_one_can_only_press(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/reports")
    told = page.inner_text("main")
    assert "by anna" in told
    assert f"{b'e'.hex() * 32}" in told.replace("\n", "")  # the whole digest of the evidence
    assert "4\u202f120\u202f000 rows in 2 databases counted" in told
    assert page.is_visible("button.print")
    page.emulate_media(media="print", color_scheme="dark")
    for path in ("/reports", f"{INSTANCE}/drills/{DRILL}", f"{INSTANCE}/points/{1:032x}", "/cost"):
        page.goto(path)
        assert page.evaluate(PRESSED) == []
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.emulate_media(media="screen")


def test_a_policy_is_written_in_sentences_with_ten_years_beside_it(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/policies/backup-rg/v1/five-years")
    before = page.inner_text("#ahead")
    page.fill("#years", "5")
    changed = "before => document.getElementById('ahead').innerText !== before"
    page.wait_for_function(changed, arg=before)
    page.click("text=Make this policy")
    page.wait_for_selector("text=version 1")
    assert page.input_value("#years") == "5"
    assert "one instance like the average" in page.inner_text("#ahead")
    page.fill("#years", "3")
    told = page.inner_text("#ahead .change")
    assert re.match(r"\d+ points at most instead of \d+, and [0-9.]+ EUR a month", told)
    assert "Nothing is changed until you save it." in told
    assert page.inner_text(".row:has(#years) .was") == "was 5"
    assert page.locator(".was:visible").count() == 1
    assert "It keeps less: Yearly: 5 years becomes 3 years." in page.inner_text("#ahead")
    page.fill("#years", "5")
    page.wait_for_selector("#ahead:not(:has(.change))")
    assert page.locator(".was:visible").count() == 0
    page.fill("#at", "26:00")
    page.wait_for_selector("#ahead >> text=is no time")


def test_a_link_comes_with_a_change_and_what_is_promised_holds_for_what_a_policy_protects(
    site: ArmWorld, visitor: Visitor
) -> None:
    page, text = visitor.page, json.dumps(ten_years_policy())
    with site.database.writing() as connection:
        mine = policies.c.name == "pgflex"
        connection.execute(policies.update().where(mine).values(properties=text))
    page.goto("/policies/backup-rg/v1/pgflex?years=10&window=7")
    assert page.locator(".was:visible").all_inner_texts() == ["was 0"]
    page.fill("#drill", "13")
    assert page.locator(".was:visible").all_inner_texts() == ["was 0", "was 0"]
    page.click("text=Save as version 2")
    page.wait_for_selector("text=version 2, protects 1 instance")
    assert (page.input_value("#window"), page.input_value("#drill")) == ("7", "13")
    assert "7 days" in page.inner_text("tr:has-text('2, in force')")
    assert [visitor.complaints("policy-edited", theme) for theme in THEMES] == [[], []]
    with site.database.reading() as connection:
        kept = connection.execute(sa.select(instances.c.properties)).scalar_one()
    assert settings_of(kept).drill_days == 91


def test_what_one_may_not_do_is_not_offered(browser: Browser, site: ArmWorld) -> None:
    found = Visitor(browser, site.url)
    found.sign_in("reader", PASSWORD)
    found.page.goto(INSTANCE)
    shown = found.page.inner_text("main")
    found.page.goto(f"{INSTANCE}/restore")
    assert "You may look at this instance and not restore it" in found.page.inner_text("main")
    found.close()
    assert "Recovery points" in shown
    for words in ("Back up now", "Drill now", "Restore this", "Stop protection"):
        assert words not in shown
