"""The restore wizard's roles: what the vault lacks is told beside the plan, and given there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from arm_story import Story, add_point
from arm_world import SUBSCRIPTION, ArmWorld, server_id
from strongroom.catalog.tables.tables import audit, jobs, role_assignments
from strongroom.control.identities import users
from strongroom.control.restore import plans
from strongroom.model.identities.access import CONTRIBUTOR, OWNER

PASSWORD = "four words of hers"
HOME = f"/subscriptions/{SUBSCRIPTION}"
RESTORE = "/instances/backup-rg/v1/pg1-inst/restore"
TABLE = {"point": f"{1:032x}", "when": "point", "what": "table", "where": "server"}
TABLE |= {"server": "pg1", "database": "shop", "table": "public.orders", "rename": "orders_old"}


@pytest.fixture(scope="module")
def people(world: ArmWorld, story: Story) -> ArmWorld:
    del story
    for name, role in (("anna", OWNER.id), ("carl", CONTRIBUTOR.id)):
        users.create_user(world.control, name, PASSWORD, role, HOME)
    add_point(world, 1, "Full", 1 << 20, {"version_number": 150005, "databases": {"shop": 1}})
    return world


@contextmanager
def at_the_portal(people: ArmWorld, name: str) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """Somebody with a browser, and the form as they have filled it in."""
    with people.http("nobody") as http:
        del http.headers["Authorization"]
        http.post("/sign-in", data={"name": name, "password": PASSWORD})
        found = re.search('name="form_key" value="([0-9a-f]{64})"', http.get("/alerts").text)
        assert found
        yield http, {**TABLE, "form_key": found[1]}


def given(people: ArmWorld) -> int:
    """How many roles are held at the server."""
    with people.database.reading() as connection:
        rows = connection.execute(role_assignments.select()).mappings().all()
    return sum(row["scope_key"] == server_id("pg1").lower() for row in rows)


def begun(people: ArmWorld) -> int:
    with people.database.reading() as connection:
        return len(connection.execute(jobs.select()).all())


@pytest.fixture
def without_roles(people: ArmWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The vault's identity has none at its server; how many it had. No agent answers a plan."""
    monkeypatch.setattr(plans, "LOOK_SECONDS", 0.0)
    with people.database.writing() as connection:
        here = role_assignments.c.scope_key == server_id("pg1").lower()
        rows = list(connection.execute(role_assignments.select().where(here)).mappings())
        connection.execute(role_assignments.delete().where(here))
    yield len(rows)
    with people.database.writing() as connection:
        connection.execute(role_assignments.delete().where(here))
        connection.execute(role_assignments.insert(), [dict(row) for row in rows])


def test_what_a_restore_lacks_is_told_given_and_gone(people: ArmWorld, without_roles: int) -> None:
    with at_the_portal(people, "anna") as (http, form):
        refused = http.post(RESTORE, data=form)
        assert refused.status_code == 400
        assert "The vault may not do this yet." in refused.text
        assert "Long Term Retention Backup Role" in refused.text
        assert f'formaction="{RESTORE}/roles"' in refused.text
        assert 'value="orders_old"' in refused.text  # what was filled in is there still
        assert (begun(people), given(people)) == (0, 0)
        part = http.post(f"{RESTORE}/roles", data=form, headers={"HX-Request": "true"})
        assert "<html" not in part.text
        assert "The vault may not do this yet." not in part.text
        assert given(people) == without_roles
        whole = http.post(f"{RESTORE}/roles", data=form)  # again, without a script
        assert "<html" in whole.text
        assert given(people) == without_roles
        assert http.post(RESTORE, data=form).headers["location"].startswith("/jobs/backup-rg/v1/")
    with people.database.reading() as connection:
        rows = connection.execute(audit.select().order_by(audit.c.sequence)).mappings().all()
    acts = [row["action"] for row in rows]
    assert acts.index("restore/trigger") > len(acts) - 1 - acts[::-1].index("role/assign")


def test_who_may_not_give_roles_is_told_who_may_and_forges_in_vain(
    people: ArmWorld, without_roles: int
) -> None:
    assert without_roles
    with at_the_portal(people, "carl") as (http, form):
        told = http.post(f"{RESTORE}/plan", data=form).text
        told += http.post(RESTORE, data=form).text
        assert "You may not give roles there" in told
        assert f"{RESTORE}/roles" not in told
        forged = http.post(f"{RESTORE}/roles", data=form)
        assert forged.status_code == 400
        assert given(people) == 0


def test_a_form_of_another_session_gives_nothing(people: ArmWorld, without_roles: int) -> None:
    assert without_roles
    with at_the_portal(people, "carl") as (_, theirs), at_the_portal(people, "anna") as (http, _):
        answer = http.post(f"{RESTORE}/roles", data=theirs)
    assert (answer.status_code, given(people)) == (403, 0)


def test_nothing_is_given_for_a_restore_that_could_not_be_asked_for(
    people: ArmWorld, without_roles: int
) -> None:
    assert without_roles
    with at_the_portal(people, "anna") as (http, form):
        answer = http.post(f"{RESTORE}/roles", data={**form, "table": ""})
    assert "No table is named." in answer.text
    assert given(people) == 0
