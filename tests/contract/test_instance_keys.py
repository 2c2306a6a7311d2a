"""The key pairs of instances, on both databases."""

import pytest
import sqlalchemy as sa

from contract.test_catalog_nouns import a_group, a_policy, a_server, a_vault, an_instance
from seams import FakeClock
from strongroom.catalog.basis.database import Database
from strongroom.catalog.points import shreds
from strongroom.catalog.protection import instance_keys
from strongroom.model.errors import Conflict

NOW = FakeClock().now()


def add(connection: sa.Connection, instance: str, number: int, purpose: str = "data") -> bytes:
    key_id = f"{purpose}{number}".encode().ljust(16, b".")
    row = {"key_id": key_id, "instance_id": instance, "purpose": purpose, "number": number}
    row |= {"public_key": b"public", "sealed_private": b"sealed" + key_id, "created_at": NOW}
    instance_keys.add(connection, row)
    return key_id


@pytest.fixture
def instance(database: Database) -> str:
    with database.writing() as connection:
        a_group(connection)
        vault = a_vault(connection)
        return an_instance(connection, vault, a_policy(connection, vault), a_server(connection))


def test_the_highest_number_is_given_to_writers_and_every_one_is_found_by_its_id(
    database, instance
):
    with database.writing() as connection:
        ids = [add(connection, instance, number) for number in (2, 1, 3)]
        add(connection, instance, 1, "catalogue")
        assert instance_keys.find(connection, instance, "data")["key_id"] == ids[2]
        assert instance_keys.find(connection, instance, "other") is None
        for key_id in ids:
            assert instance_keys.by_id(connection, instance, key_id)["key_id"] == key_id
        assert instance_keys.by_id(connection, "another", ids[0]) is None
        listed = instance_keys.list_of_purpose(connection, instance, "data")
        assert [row["number"] for row in listed] == [1, 2, 3]
        assert len(instance_keys.list_all(connection)) == 4


def test_a_number_is_taken_once_and_a_key_is_of_one_instance(database, instance):
    with database.writing() as connection:
        first = add(connection, instance, 1)
        assert add(connection, instance, 1) == first
        assert len(instance_keys.list_of_instance(connection, instance)) == 1
        again = {**instance_keys.by_id(connection, instance, first), "number": 2}
    with pytest.raises(Conflict), database.writing() as connection:
        instance_keys.add(connection, again)


def test_a_private_half_is_sealed_anew_only_where_it_is_still_what_was_opened(database, instance):
    with database.writing() as connection:
        key_id = add(connection, instance, 1)
        before = instance_keys.by_id(connection, instance, key_id)["sealed_private"]
        assert not instance_keys.reseal(connection, key_id, b"other", b"new")
        assert instance_keys.reseal(connection, key_id, before, b"new")
        assert instance_keys.by_id(connection, instance, key_id)["sealed_private"] == b"new"


def test_what_is_destroyed_leaves_no_bytes_behind_and_its_certificate_stays(database, instance):
    with database.writing() as connection:
        for number in range(1, 20):
            add(connection, instance, number)
        assert instance_keys.destroy(connection, instance) == 19
        shreds.add(connection, instance, "vault", NOW, b"certificate")
    assert instance_keys.leave_no_trace(database)
    assert instance_keys.leave_no_trace(database)
    with database.reading() as connection:
        assert instance_keys.list_all(connection) == []
        assert shreds.find(connection, instance) == b"certificate"
        assert [row["at"] for row in shreds.list_of_vault(connection, "vault")] == [NOW]
        if not database.is_sqlite:
            size = connection.execute(sa.text("select pg_relation_size('instance_keys')"))
            assert size.scalar() == 0
