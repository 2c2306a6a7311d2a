"""The portal by keyboard alone: a restore from the sign-in to its job, and a focus that stays."""

from collections.abc import Iterator

import msgspec
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page

from arm_story import Story
from arm_world import SUBSCRIPTION, ArmWorld
from portal_rows import fill
from portal_world import Visitor, a_browser
from strongroom.catalog.tables.tables import jobs, servers
from strongroom.control.identities import users
from strongroom.model.identities.access import OWNER
from strongroom.model.work.operation import Progress

NAME, PASSWORD = "anna", "four words of hers"
MOST_TABS = 80

# Where the focus is: its words, whether it can be seen, and how it stands to where it was before.
FOCUS = """() => {
  const at = document.activeElement, before = window.__before ?? null;
  window.__before = at;
  const ring = at.closest('.card') ?? at, style = getComputedStyle(ring);
  const box = ring.getBoundingClientRect();
  const behind = Node.DOCUMENT_POSITION_FOLLOWING | Node.DOCUMENT_POSITION_CONTAINED_BY;
  const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {
    words: [at.id, at.name, at.value, at.textContent.trim()].filter(Boolean).join(' | '),
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    there: box.width > 0 && seen,
    forwards: !before || Boolean(before.compareDocumentPosition(at) & behind),
    main: Boolean(at.closest('main')),
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(world: ArmWorld, story: Story) -> ArmWorld:
    users.create_user(world.control, NAME, PASSWORD, OWNER.id, f"/subscriptions/{SUBSCRIPTION}")
    fill(world)
    with world.database.writing() as connection:  # an agent that is away is not waited for
        connection.execute(servers.update().values(seen_at=None))
    return world


class Keys:
    """Somebody who has no mouse. Each step of the focus is seen, and goes forwards."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def tab_to(self, words: str) -> None:
        """Press Tab until the focus is on what bears these words."""
        passed = []
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            at = self.page.evaluate(FOCUS)
            assert at["ring"], f"no ring around {at['words']}"
            assert at["there"], f"{at['words']} has the focus and is out of sight"
            assert at["forwards"], f"{at['words']} comes after what stands below it"
            passed.append(at["words"])
            if words in at["words"]:
                return
        raise AssertionError(f"no Tab leads to {words}: {passed}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def enter(self, address: str) -> None:
        """What has the focus leads to another page."""
        with self.page.expect_navigation(url=address):
            self.page.keyboard.press("Enter")


def test_a_restore_takes_no_mouse_from_the_sign_in_to_its_job(
    browser: Browser, site: ArmWorld
) -> None:
    visitor = Visitor(browser, site.url)
    page, keys = visitor.page, Keys(visitor.page)
    page.goto("/sign-in")
    page.keyboard.type(NAME)  # the name's field has the focus at once
    keys.tab_to("password")
    page.keyboard.type(PASSWORD)
    keys.enter("**/")
    keys.tab_to("Skip to content")
    keys.press("Enter")
    keys.press("Tab")
    assert page.evaluate(FOCUS)["main"]
    page.goto("/")
    keys.tab_to("Restore…")
    keys.enter("**/restore")
    keys.tab_to("when | point")
    keys.press("ArrowRight")
    page.wait_for_selector("#moment:visible")
    keys.press("ArrowLeft")
    page.wait_for_selector("#moment", state="hidden")
    keys.tab_to("what | all")
    keys.tab_to("where | directory")
    keys.tab_to("directory | directory")
    page.keyboard.type("/srv/restored")
    keys.tab_to("Work out the plan")
    keys.press("Enter")
    page.wait_for_selector("#plan >> text=srv/restored")
    assert "Work out the plan" in page.evaluate(FOCUS)["words"]  # the plan took no focus away
    keys.tab_to("Start restore")
    keys.enter("**/jobs/**")
    page.wait_for_selector("h1:has-text('Restore of pg1-inst')")
    assert visitor.said == []
    visitor.close()


def test_what_is_refused_has_the_focus_so_that_it_is_read(
    browser: Browser, site: ArmWorld
) -> None:
    visitor = Visitor(browser, site.url)
    visitor.sign_in(NAME, PASSWORD)
    page, keys = visitor.page, Keys(visitor.page)
    page.goto("/restore")
    keys.tab_to("directory | directory")
    page.keyboard.type("not absolute")
    keys.tab_to("Start restore")
    with page.expect_navigation():
        keys.press("Enter")
    page.wait_for_selector("#plan .sheet:focus >> text=is not an absolute path")
    visitor.close()


def test_news_of_a_job_leave_the_focus_where_it_was(browser: Browser, site: ArmWorld) -> None:
    with site.database.writing() as connection:
        found = connection.execute(jobs.select().where(jobs.c.id == "j-done")).mappings().one()
        row = {**found, "id": "j-live", "status": "InProgress", "ended_at": None}
        row["started_at"] = site.clock.now()
        connection.execute(jobs.insert().values(**row))
    visitor = Visitor(browser, site.url)
    visitor.sign_in(NAME, PASSWORD)
    page, keys = visitor.page, Keys(visitor.page)
    page.goto("/jobs")
    page.focus("#job-j-live a")
    for done in (64_000_000, 96_000_000):
        told = Progress(step="Reading", done_bytes=done, total_bytes=128_000_000)
        with site.database.writing() as connection:
            here = sa.update(jobs).where(jobs.c.id == "j-live")
            connection.execute(here.values(progress=msgspec.to_builtins(told)))
        page.wait_for_selector(f"#job-j-live >> text={done // 1_000_000} MB")
        assert page.evaluate("document.activeElement.closest('#job-j-live')?.id") == "job-j-live"
    keys.enter("**/jobs/backup-rg/v1/j-live")
    visitor.close()
