"""The nouns that the API names, on both databases: found by any case, held together by keys."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import principals, role_assignments
from strongroom.catalog.protection import instances
from strongroom.catalog.resources import operations, policies, resource_groups, servers, vaults
from strongroom.catalog.work import agents
from strongroom.model.errors import Conflict

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.writing() as found:
        yield found


def a_group(connection: sa.Connection, name: str = "RG-1") -> None:
    row = {"name": name, "name_key": name.lower(), "location": "local", "tags": {"a": "ü"}}
    resource_groups.add(connection, {**row, "created_at": NOW})


def a_vault(connection: sa.Connection, name: str = "V-1", group: str = "rg-1") -> str:
    identity = {"id": f"identity-of-{name}", "kind": "vault", "display_name": name}
    principals.add(connection, {**identity, "created_at": NOW})
    row: dict[str, Any] = {"id": f"id-of-{name}", "resource_group_key": group}
    row |= {"name": name, "name_key": name.lower(), "location": "local", "state": "Succeeded"}
    row |= {"principal_id": identity["id"], "properties": {"x": [1, None]}, "tags": {}}
    vaults.add(connection, {**row, "version": 1, "created_at": NOW})
    return str(row["id"])


def a_policy(connection: sa.Connection, vault_id: str, name: str = "Daily") -> str:
    row = {"id": f"id-of-{name}", "vault_id": vault_id, "name": name, "name_key": name.lower()}
    text = '{"b": 1,  "a": "\\u00fc"}'
    policies.add(connection, {**row, "properties": text, "version": 1, "created_at": NOW})
    return row["id"]


def a_server(connection: sa.Connection, name: str = "PG-1") -> str:
    if not agents.list_named(connection, "agent"):
        agent = {"id": "agent-id", "name": "agent", "token_hash": "x", "version": "1"}
        agents.add(connection, {**agent, "enrolled_at": NOW, "seen_at": NOW})
    row: dict[str, Any] = {"id": f"id-of-{name}", "resource_group_key": "rg-1", "name": name}
    row |= {"name_key": name.lower(), "location": "local", "agent_id": "agent-id"}
    row |= {"agent_server": f"local-{name}", "facts": {}, "tags": {}}
    servers.add(connection, {**row, "created_at": NOW})
    return str(row["id"])


def an_instance(connection: sa.Connection, vault_id: str, policy_id: str, server_id: str) -> str:
    row: dict[str, Any] = {"id": "instance-id", "vault_id": vault_id, "name": "I-1"}
    row |= {"name_key": "i-1", "server_id": server_id, "policy_id": policy_id}
    row |= {"properties": {}, "tags": {}, "state": "ConfiguringProtection"}
    instances.add(connection, {**row, "created_at": NOW})
    return str(row["id"])


def test_every_noun_is_found_by_its_name_in_any_case(connection: sa.Connection) -> None:
    a_group(connection)
    vault_id = a_vault(connection)
    policy_id = a_policy(connection, vault_id)
    server_id = a_server(connection)
    an_instance(connection, vault_id, policy_id, server_id)
    found = [
        resource_groups.find(connection, "rg-1"),
        vaults.find(connection, "RG-1", "v-1"),
        policies.find(connection, vault_id, "DAILY"),
        servers.find(connection, "Rg-1", "pg-1"),
        instances.find(connection, vault_id, "i-1"),
    ]
    assert [row and row["name"] for row in found] == ["RG-1", "V-1", "Daily", "PG-1", "I-1"]


def test_what_was_written_comes_back_as_it_was(connection: sa.Connection) -> None:
    a_group(connection)
    vault_id = a_vault(connection)
    a_policy(connection, vault_id)
    group, vault = resource_groups.find(connection, "RG-1"), vaults.find(connection, "RG-1", "V-1")
    policy = policies.find(connection, vault_id, "Daily")
    assert group is not None
    assert group["tags"] == {"a": "ü"}
    assert vault is not None
    assert (vault["properties"], vault["resource_group"]) == ({"x": [1, None]}, "RG-1")
    assert policy is not None
    assert policy["properties"] == '{"b": 1,  "a": "\\u00fc"}'


def test_lists_are_of_a_group_or_of_all(connection: sa.Connection) -> None:
    a_group(connection)
    a_group(connection, "RG-2")
    a_vault(connection)
    a_vault(connection, "V-2", "rg-2")
    assert [v["name"] for v in vaults.list_of_group(connection, "RG-2")] == ["V-2"]
    assert [v["name"] for v in vaults.list_of_group(connection, None)] == ["V-1", "V-2"]
    assert [g["name"] for g in resource_groups.list_all(connection)] == ["RG-1", "RG-2"]


def test_a_policy_knows_who_uses_it(connection: sa.Connection) -> None:
    a_group(connection)
    vault_id = a_vault(connection)
    used, spare = a_policy(connection, vault_id), a_policy(connection, vault_id, "Spare")
    an_instance(connection, vault_id, used, a_server(connection))
    assert [user["name"] for user in policies.users(connection, used)] == ["I-1"]
    assert policies.users(connection, spare) == []
    policies.remove(connection, spare)
    assert [p["name"] for p in policies.list_of_vault(connection, vault_id)] == ["Daily"]


def test_a_policy_in_use_cannot_vanish(database: Database) -> None:
    def vanish() -> None:
        with database.writing() as connection:
            a_group(connection)
            vault_id = a_vault(connection)
            used = a_policy(connection, vault_id)
            an_instance(connection, vault_id, used, a_server(connection))
            policies.remove(connection, used)

    with pytest.raises(Conflict):
        vanish()


def test_two_names_that_differ_by_case_are_one(database: Database) -> None:
    def twice() -> None:
        with database.writing() as connection:
            a_group(connection, "rg")
            a_group(connection, "RG")

    with pytest.raises(Conflict):
        twice()


def test_an_instance_is_found_by_its_server(connection: sa.Connection) -> None:
    a_group(connection)
    vault_id = a_vault(connection)
    server_id = a_server(connection)
    assert instances.of_server(connection, server_id) is None
    an_instance(connection, vault_id, a_policy(connection, vault_id), server_id)
    found = instances.of_server(connection, server_id)
    assert found is not None
    names = [found[n] for n in ("vault_name", "policy_name", "server_name", "server_group")]
    assert names == ["V-1", "Daily", "PG-1", "RG-1"]
    instances.change(connection, found["id"], state="ProtectionConfigured")
    assert instances.list_of_vault(connection, vault_id)[0]["state"] == "ProtectionConfigured"


def test_a_server_is_found_by_what_its_agent_calls_it(connection: sa.Connection) -> None:
    a_group(connection)
    server_id = a_server(connection)
    found = servers.of_agent(connection, "agent-id", "local-PG-1")
    assert found is not None
    assert found["id"] == server_id
    assert servers.of_agent(connection, "agent-id", "PG-1") is None
    agents.seen(connection, "agent-id", NOW, {"local-PG-1": {"name": "x", "ready": True}})
    told = servers.by_id(connection, server_id)
    assert told is not None
    assert (told["facts"]["ready"], told["seen_at"]) == (True, NOW)


def test_roles_go_with_whoever_held_them(connection: sa.Connection) -> None:
    for number, principal in enumerate(("p1", "p1", "p2")):
        row = {"id": str(number), "scope": f"/s{number}", "scope_key": f"/s{number}"}
        row |= {"role_id": "r", "principal_id": principal, "principal_type": "ServicePrincipal"}
        role_assignments.add(connection, {**row, "created_at": NOW, "created_by": "x"})
    assert len(role_assignments.list_of_principal(connection, "p1")) == 2
    role_assignments.remove_of_principal(connection, "p1")
    assert [row["id"] for row in role_assignments.list_all(connection)] == ["2"]
    assert role_assignments.find(connection, "0") is None


def test_an_operation_that_has_ended_stays_as_it_ended(connection: sa.Connection) -> None:
    row = {"id": "o", "kind": "k", "resource_id": "/r", "status": "Inprogress", "started_at": NOW}
    operations.add(connection, {**row, "principal_id": "p", "request_key": "key"})
    assert operations.find_by_request(connection, "key") == "o"
    assert operations.find_running(connection, "/r") == "o"
    operations.end(connection, "o", status="Succeeded", ended_at=NOW, result={}, error=None)
    operations.end(connection, "o", status="Failed", ended_at=NOW, result=None, error={"a": 1})
    found = operations.get(connection, "o")
    assert found is not None
    assert (found["status"], found["error"]) == ("Succeeded", None)
    assert operations.find_running(connection, "/r") is None
