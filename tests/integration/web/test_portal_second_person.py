"""What takes a second person, walked through by both of them at browsers of their own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from arm_story import GROUP_ID, GUIDS, Story, assignment_body, assignment_id
from arm_world import SUBSCRIPTION, ArmWorld, vault_id
from portal_world import Visitor, a_browser
from strongroom.catalog.tables.tables import agents, servers
from strongroom.control.identities import users
from strongroom.control.overview import alerts
from strongroom.model.identities.access import MUA_OPERATOR, OWNER

PASSWORD = "four words of hers"
GUARD = f"{GROUP_ID}/providers/Microsoft.DataProtection/resourceGuards/second-person"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as found:
        yield found


def come(browser: Browser, world: ArmWorld, name: str, password: str) -> Visitor:
    found = Visitor(browser, world.url)
    found.sign_in(name, password)
    return found


def test_what_weakens_a_vault_waits_for_somebody_else_and_goes_through_once(
    browser: Browser, world: ArmWorld, story: Story
) -> None:
    users.create_user(world.control, "anna", PASSWORD, OWNER.id, f"/subscriptions/{SUBSCRIPTION}")
    approver, _, secret = world.principal("ben", [])
    story.put(GUARD, {"location": "local"})
    story.put(assignment_id(GUARD, GUIDS[5]), assignment_body(MUA_OPERATOR.id, approver))
    proxy = f"{vault_id()}/backupResourceGuardProxies/DppResourceGuardProxy"
    story.put(proxy, {"properties": {"resourceGuardResourceId": GUARD}})

    anna, ben = come(browser, world, "anna", PASSWORD), come(browser, world, "ben", secret)
    anna.page.goto("/vaults/backup-rg/v1")
    anna.page.select_option("#soft_delete", "Off")
    anna.page.click("text=Change the locks")
    anna.page.wait_for_selector("h1:has-text('You may not do this')")
    anna.page.click(".news >> text=Approvals")
    anna.page.wait_for_selector("main >> text=yours: somebody else decides")
    assert anna.page.locator("text=Let it through").count() == 0

    users.create_user(world.control, "carla", PASSWORD, OWNER.id, f"/subscriptions/{SUBSCRIPTION}")
    carla = come(browser, world, "carla", PASSWORD)  # she owns everything, and approves nothing
    carla.page.goto("/approvals")
    carla.page.wait_for_selector("text=whoever is Backup MUA Operator at its guard decides")
    assert carla.page.locator("text=Let it through").count() == 0
    carla.close()

    ben.page.goto("/")
    ben.page.click("#needs >> text=See request")
    assert "anna asks" in ben.page.inner_text("main")
    ben.page.click("text=Let it through")
    ben.page.wait_for_selector("text=Nothing waits for a second person.")

    anna.page.goto("/vaults/backup-rg/v1")
    anna.page.select_option("#soft_delete", "Off")
    anna.page.click("text=Change the locks")
    anna.page.wait_for_selector(".answer[data-state=risk]")
    assert anna.page.input_value("#soft_delete") == "Off"

    # What draws a lock tighter needs nobody.
    anna.page.select_option("#immutability", "Unlocked")
    anna.page.click("text=Change the locks")
    anna.page.wait_for_selector("text=No, until it is unlocked.")
    held = " ".join(anna.page.inner_text("#shut").split())
    assert "Locked, may be undone The storage itself refuses" in held
    assert "Soft delete Off" in held
    assert "Second person Asked The guard" in held
    anna.page.goto("/audit")
    told = " ".join(anna.page.inner_text("main").split())
    assert "anna asked to " in told
    assert "and was sent to a second person because " in told
    assert "ben agreed to " in told
    anna.page.goto("/approvals")
    assert "Used" in anna.page.inner_text("main")
    ben.close()
    anna.close()


def test_an_agent_that_is_lost_is_seen_and_a_new_one_invited_once(
    browser: Browser, world: ArmWorld, story: Story
) -> None:
    at = world.clock.now().subtract(hours=1)
    with world.database.writing() as connection:
        connection.execute(agents.update().values(seen_at=at))
        connection.execute(servers.update().values(seen_at=at))
    alerts.settle_alerts(world.control)
    anna = come(browser, world, "anna", PASSWORD)
    anna.page.goto("/alerts")
    anna.page.click("text=agent agent-1 is lost")
    anna.page.wait_for_selector("main >> text=not heard >> nth=0")
    anna.page.click("text=Enrol another agent")
    line = anna.page.inner_text(".sheet code.cmd")
    assert "strongroom agent run" in line
    token = line.split("'")[1]
    anna.page.goto("/servers")
    assert token not in anna.page.content()
    anna.page.goto("/alerts")
    anna.page.click("text=I see to it")
    anna.page.wait_for_selector("text=seen by anna")
    assert anna.said == []
    anna.close()


def test_old_news_is_told_to_be_old(browser: Browser, world: ArmWorld, story: Story) -> None:
    anna = come(browser, world, "anna", PASSWORD)
    anna.page.route("**/portal/events*", lambda route: route.abort())
    anna.page.clock.install()
    anna.page.goto("/")
    assert anna.page.locator("#stale").is_hidden()
    anna.page.clock.fast_forward(60_000)
    anna.page.wait_for_selector("#stale >> text=What is shown may be old.")
    states = anna.page.eval_on_selector_all(".answer", "all => all.map(e => e.dataset.state)")
    assert states == ["unknown", "unknown"]
    told = anna.page.eval_on_selector_all(
        ".answer .big", "all => all.map(e => e.innerText.trim())"
    )
    assert all(each.startswith("Not known since ") for each in told)  # no old Yes beside it
    anna.close()
