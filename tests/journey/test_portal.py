"""From the first start to a restore, in a real browser over a real house and a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.servers import Server, start_server
from journey.person import Person
from portal_world import THEMES, Visitor, a_browser

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
TOLD = re.compile(r"sign in to the portal as admin, password (\S+) \(told this once\)")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g, md5(g::text) from generate_series(1, 5000) g")
        yield found


@pytest.fixture(scope="module")
def visitor(person: Person) -> Iterator[Visitor]:
    found = json.loads((person.data / "connection.json").read_text())
    with a_browser() as browser:
        visitor = Visitor(browser, found["portal"])
        yield visitor
        visitor.close()


def ended(visitor: Visitor) -> str:
    """How the job of the page ended: the page follows it by itself."""
    state = visitor.page.locator(".head .state")
    state.filter(has_not_text="Under way").wait_for()
    return state.inner_text()


def test_the_first_day_of_a_person_at_the_portal(
    person: Person, server: Server, visitor: Visitor
) -> None:
    page = visitor.page
    told = TOLD.search(person.told)
    assert told
    assert not (person.data / "portal-password").exists()
    assert told[1] not in person.ok("up", "--detach", "--port", "0")
    assert not any(told[1] in file.read_text() for file in (person.data / "logs").iterdir())

    visitor.sign_in("admin", told[1])
    assert "Nothing is protected yet" in page.inner_text("main")
    assert [visitor.complaints("first", theme) for theme in THEMES] == [[], []]

    agent = str(person.data / "agent")
    person.ok("agent", "add", "orders", "--data", agent, stdin=server.conninfo)
    page.click("text=Protect orders…")  # it has appeared by itself
    page.click("button >> text=Protect it")
    page.wait_for_selector(".lacks >> text=Long Term Retention Backup Role")
    assert [visitor.complaints("protect-roles", theme) for theme in THEMES] == [[], []]
    page.click("text=and protect it")
    assert ended(visitor) == "Done"
    page.goto("/")
    page.wait_for_selector("#answers >> text=Yes.")
    page.click(".ledger >> text=orders")
    page.wait_for_selector("h1:has-text('orders')")

    page.click("text=Back up now")
    assert ended(visitor) == "Done"
    page.click(".crumb >> text=orders")
    page.wait_for_selector("#points tbody tr >> nth=1")
    assert page.locator("#points tbody tr").count() == 2

    directory = str(server.home / "restored")
    page.click("text=Restore this…")
    page.fill("#directory", directory)
    page.click("text=Work out the plan")
    page.wait_for_selector("#plan >> text=all of it")
    page.click("button >> text=Start restore")
    assert ended(visitor) == "Done"
    assert (Path(directory) / "PG_VERSION").read_text().strip() == "15"

    server.sql("delete from t where g > 1000")
    page.click(".crumb >> text=orders")
    page.click("#points tbody th a")
    page.click("tr:has-text('public.t') >> text=Restore…")
    page.wait_for_selector("#table:visible")
    assert page.input_value("#database") == "postgres"
    assert page.input_value("#table") == "public.t"
    page.fill("#rename", "t_before")
    page.click(".card >> text=A running server")
    page.fill("#server", "orders")
    page.click("button >> text=Start restore")
    assert ended(visitor) == "Done"
    assert server.sql("select count(*) from t_before") == [(5000,)]
    assert visitor.said == []

    page.click("text=Sign out")
    page.goto("/jobs")
    assert "/sign-in?to=/jobs" in page.url
