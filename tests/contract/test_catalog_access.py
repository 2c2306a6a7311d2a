"""Issuers and custom roles, on both databases."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.identities import issuers, principals, role_assignments, role_definitions
from strongroom.model.identities.issuer import Issuer

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
CORP = Issuer(id="i-1", name="Corp", url="https://idp.example", audiences=("a", "b"), ca="pem")


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.writing() as found:
        yield found


def test_an_issuer_is_found_by_name_in_any_case_and_by_its_address(
    connection: sa.Connection,
) -> None:
    issuers.add(connection, CORP, NOW, "owner")
    assert issuers.find(connection, "cORP") == issuers.find_by_url(connection, CORP.url) == CORP
    assert issuers.find_by_url(connection, f"{CORP.url}/") is None
    later = Issuer(id="i-2", name="Later", url=CORP.url, audiences=())
    issuers.add(connection, later, NOW.add(hours=1), "owner")
    assert issuers.find_by_url(connection, CORP.url) == later
    assert issuers.list_all(connection) == [CORP, later]


def test_an_issuer_stays_as_long_as_it_vouches_for_somebody(connection: sa.Connection) -> None:
    issuers.add(connection, CORP, NOW, "owner")
    row = {"id": CORP.principal_of("user", "u"), "kind": "user", "display_name": "u"}
    principals.add(connection, row | {"issuer_id": "i-1", "subject": "u", "created_at": NOW})
    assert [r["id"] for r in principals.list_of_issuer(connection, "i-1")] == [row["id"]]
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        issuers.remove(connection, "i-1")
    principals.remove(connection, row["id"])
    issuers.remove(connection, "i-1")
    assert issuers.list_all(connection) == []


def test_a_role_comes_back_as_it_was_made(connection: sa.Connection) -> None:
    made = {"name": "Looker", "name_key": "looker", "description": "looks"}
    made |= {"actions": ["*/read"], "not_actions": ["a/read"], "data_actions": ["b/*"]}
    made |= {"not_data_actions": ["c/*"], "assignable_scopes": ["/subscriptions/s"]}
    when = {"created_at": NOW, "created_by": "o", "updated_at": NOW, "updated_by": "o"}
    role_definitions.add(connection, {"id": "r-1", **made, **when})
    role = role_definitions.find(connection, "r-1")
    assert role is not None
    assert (role.actions, role.not_data_actions, role.custom) == (("*/read",), ("c/*",), True)
    role_definitions.change(connection, "r-1", description="looks on")
    assert role_definitions.by_ids(connection, ["r-1", "r-2"])["r-1"].description == "looks on"
    assert role_assignments.list_of_role(connection, "r-1") == []
    role_definitions.remove(connection, "r-1")
    assert role_definitions.list_all(connection) == []


def test_the_id_of_somebody_hangs_on_the_trust_and_on_their_kind() -> None:
    other = Issuer(id="i-2", name="Corp", url=CORP.url, audiences=CORP.audiences)
    ids = {
        CORP.principal_of("user", "x"),
        CORP.principal_of("group", "x"),
        CORP.principal_of("user", "y"),
        other.principal_of("user", "x"),
    }
    assert len(ids) == 4
    assert CORP.principal_of("service", "x") == CORP.principal_of("user", "x")
    assert all(text[14] == "8" and text[19] in "89ab" for text in ids)
