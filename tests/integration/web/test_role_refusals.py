"""Refusals for want of a role are in the audit, and a flood of them is a few records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from arm_story import GROUP_ID, Story
from arm_world import VERSION, arm_world, vault_id
from seams import FakeClock
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.oversight import audit as audit_rows
from strongroom.catalog.tables.tables import audit
from strongroom.control.basis.role_refusals import AGAIN_SECONDS, MOST_KINDS, RoleRefusals
from strongroom.model.identities.access import READER, Caller


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/catalogue.sqlite")
    upgrade(made)
    yield made
    made.close()


def records(database: Database) -> list[Any]:
    with database.reading() as connection:
        assert audit_rows.first_break(connection) is None
        query = sa.select(audit).where(audit.c.action == "access/refuse")
        return list(connection.execute(query.order_by(audit.c.sequence)).mappings())


def test_a_flood_is_one_record_now_and_one_an_hour_with_its_number(database: Database) -> None:
    refusals, clock = RoleRefusals(), FakeClock()
    caller = Caller(principal_id="mallory", address="192.0.2.7")
    for number in range(500):
        refusals.note(caller, "vaults/delete", f"/v{number}", clock.now())
        refusals.write(database, clock.now())
    clock.advance(AGAIN_SECONDS)
    for _ in range(2):
        refusals.write(database, clock.now())
    first, rest = records(database)
    assert (first["actor"], first["target"], first["detail"]["times"]) == ("mallory", "/v0", 1)
    assert rest["detail"]["times"] == 499
    assert rest["detail"]["scopes"] == [f"/v{number}" for number in range(1, 6)]
    assert rest["detail"]["addresses"] == ["192.0.2.7"]


def test_many_names_are_told_apart_up_to_a_number(database: Database) -> None:
    refusals, clock = RoleRefusals(), FakeClock()
    for number in range(3 * MOST_KINDS):
        refusals.note(Caller(principal_id=f"p{number}"), "vaults/read", "/v", clock.now())
    refusals.write(database, clock.now())
    found = records(database)
    assert len(found) == MOST_KINDS + 1
    assert (found[-1]["actor"], found[-1]["detail"]["times"]) == ("others", 2 * MOST_KINDS)


def test_a_reader_who_would_change_something_is_written_down() -> None:
    with arm_world() as world, world.http() as http:
        Story(world, http)
        reader, *signs_in = world.principal("reader", [(READER.id, GROUP_ID)])
        headers = {"Authorization": f"Bearer {world.token(*signs_in)}"}
        answer = http.delete(vault_id(), params=VERSION, headers=headers)
        assert answer.status_code == 403
        (info,) = answer.json()["error"]["additionalInfo"]
        assert info["info"]["recommendedAction"] == [
            f"az role assignment create --assignee-object-id {reader} --assignee-principal-type "
            f'ServicePrincipal --role "Backup Contributor" --scope {vault_id()}'
        ]
        world.control.refusals.write(world.database, world.clock.now())
        (found,) = records(world.database)
    assert (found["actor"], found["target"]) == (reader, vault_id())
    assert found["detail"]["action"] == "Microsoft.DataProtection/backupVaults/delete"
    assert found["detail"]["addresses"] == ["127.0.0.1"]
