"""A server is protected at the portal, from a vault that is not there yet to its first backup."""

import re
from collections.abc import Iterator

import httpx
import pytest

from arm_story import GROUP_ID
from arm_world import SUBSCRIPTION, ArmWorld, arm_world, server_id
from strongroom.catalog.resources import told_servers
from strongroom.catalog.tables.tables import audit, jobs, role_assignments
from strongroom.control.identities import users
from strongroom.model.errors import Precondition
from strongroom.model.identities.access import BACKUP_CONTRIBUTOR, LONG_TERM_RETENTION, OWNER

PASSWORD = "four words of hers"
HOME = f"/subscriptions/{SUBSCRIPTION}"
UNDER = "backup-rg/vault/ten-years"


@pytest.fixture(scope="module")
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        for name, role in (("anna", OWNER.id), ("carl", BACKUP_CONTRIBUTOR.id)):
            users.create_user(found.control, name, PASSWORD, role, HOME)
        yield found


@pytest.fixture
def guest(world: ArmWorld) -> Iterator[httpx.Client]:
    with world.http("nobody") as http:
        yield signed_in(http, "anna")


def signed_in(http: httpx.Client, name: str) -> httpx.Client:
    http.headers.pop("Authorization", None)
    http.post("/sign-in", data={"name": name, "password": PASSWORD, "to": "/"})
    return http


def told(world: ArmWorld, *names: str) -> str:
    """Its agent looks after these. Returns the agent's id."""
    agent = "id-of-agent-1"
    facts = {"ready": True, "versionNumber": 170002, "sizeBytes": 5 << 30}
    with world.database.writing() as connection:
        told_servers.note(connection, agent, {name: {"name": name, **facts} for name in names})
    return agent


def key_of(guest: httpx.Client) -> str:
    found = re.search('name="form_key" value="([0-9a-f]{64})"', guest.get("/alerts").text)
    assert found
    return found[1]


def test_a_server_that_an_agent_tells_of_is_protected_with_the_roles_that_are_asked_for(
    world: ArmWorld, guest: httpx.Client
) -> None:
    assert "Waiting for the first server" in guest.get("/").text
    assert "No agent tells of a server" in guest.get("/protect").text
    world.agent()
    agent = told(world, "orders")
    assert "Protect orders…" in guest.get("/").text
    assert "not registered yet" in guest.get("/servers").text
    page = guest.get("/protect")
    assert "17.2, 5.37 GB" in page.text
    form = {"form_key": key_of(guest), "server": f"{agent}/orders", "under": UNDER}
    refused = guest.post("/protect", data=form)
    assert refused.status_code == 200
    assert "Long Term Retention Backup Role" in refused.text
    assert f"{GROUP_ID}</code>" in refused.text  # where the vault's identity must be a reader
    assert given(world, GROUP_ID) == 0  # it was asked, and nothing given yet
    begun = guest.post("/protect", data={**form, "give": "yes"})
    assert (begun.status_code, given(world, GROUP_ID)) == (303, 1)
    assert begun.headers["location"].startswith("/jobs/backup-rg/vault/")
    assert "Backup of orders" in guest.get(begun.headers["location"]).text
    assert "Protect orders" not in guest.get("/servers").text
    with world.database.reading() as connection:
        rows = connection.execute(audit.select()).mappings().all()
    acts = [row["action"] for row in rows]
    assert {"server/create", "role/assign", "instance/write"} <= set(acts)


def given(world: ArmWorld, scope: str) -> int:
    """How many roles are held there."""
    with world.database.reading() as connection:
        rows = connection.execute(role_assignments.select()).mappings().all()
    return sum(row["scope_key"] == scope.lower() for row in rows)


def test_who_may_not_give_roles_is_not_offered_to_and_forges_in_vain(world: ArmWorld) -> None:
    world.agent("agent-2")
    with world.database.writing() as connection:
        facts = {"billing": {"name": "billing", "ready": True}}
        told_servers.note(connection, "id-of-agent-2", facts)
    with world.http("nobody") as http:
        signed_in(http, "anna")
        form = {"form_key": key_of(http), "server": "id-of-agent-2/billing", "under": UNDER}
        assert "Give this role" in http.post("/protect", data=form).text  # registered, no more
        signed_in(http, "carl")
        form["form_key"] = key_of(http)
        refused = http.post("/protect", data=form).text
        assert "You may not give roles there" in refused
        assert 'name="give"' not in refused
        forged = http.post("/protect", data={**form, "give": "yes"})
    assert (forged.status_code, given(world, server_id("billing"))) == (400, 0)


def test_a_server_of_no_name_is_not_protected(guest: httpx.Client) -> None:
    form = {"form_key": key_of(guest), "server": "x/y", "under": UNDER}
    assert "there is no such server" in guest.post("/protect", data=form).text.lower()


def test_a_role_that_a_job_has_failed_for_is_given_on_its_page(
    world: ArmWorld, guest: httpx.Client
) -> None:
    with world.database.writing() as connection:
        job = connection.execute(jobs.select()).mappings().first()
        assert job
        role = role_assignments.c.scope_key == server_id("orders").lower()
        connection.execute(role_assignments.delete().where(role))
        missing = [{"roleId": LONG_TERM_RETENTION.id, "scope": server_id("orders")}]
        error = Precondition("the vault lacks a role", facts={"missing": missing}).to_dict()
        ended = {"status": "Failed", "error": error, "ended_at": world.clock.now()}
        connection.execute(jobs.update().where(jobs.c.id == job["id"]).values(**ended))
    page = f"/jobs/backup-rg/vault/{job['id']}"
    assert "Give this role" in guest.get(page).text
    given_by = guest.post(f"{page}/roles", data={"form_key": key_of(guest)})
    assert (given_by.status_code, given(world, server_id("orders"))) == (303, 1)
    assert "Give this role" not in guest.get(page).text
