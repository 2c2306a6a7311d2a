"""A catalogue grows by steps: all of a step or nothing, by one process, never against its will."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from whenever import Instant

from strongroom.catalog import migrate
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import HEAD, current, move, upgrade
from strongroom.catalog.oversight import audit
from strongroom.catalog.tables.tables import metadata
from strongroom.model.errors import Precondition

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
Make = Callable[[], Database]


def shape(database: Database) -> dict[str, Any]:
    """Everything that a database tells of its tables: columns, keys, indexes, their names."""
    found = sa.inspect(database.engine)
    return {
        table: {
            "columns": sorted(
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in found.get_columns(table)
            ),
            "primary key": found.get_pk_constraint(table),
            "foreign keys": sorted(found.get_foreign_keys(table), key=str),
            "unique": sorted(found.get_unique_constraints(table), key=str),
            "indexes": sorted(found.get_indexes(table), key=str),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_the_steps_and_the_code_make_the_same_database(make_database: Make) -> None:
    grown, made = make_database(), make_database()
    upgrade(grown)
    with made.writing() as connection:
        metadata.create_all(connection)
    assert shape(grown) == shape(made)


def test_the_head_that_is_skipped_by_is_the_last_step() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate._SCRIPTS))
    script = ScriptDirectory.from_config(config)
    steps = [step.revision for step in script.walk_revisions()][::-1]
    assert tuple(steps) == migrate._KNOWN
    assert script.get_current_head() == HEAD


def test_every_step_goes_back_and_forth(database: Database) -> None:
    before = shape(database)
    move(database, "base")
    assert shape(database) == {}
    upgrade(database)
    assert shape(database) == before


def test_a_failed_upgrade_leaves_nothing(make_database: Make) -> None:
    database = make_database()
    with database.writing() as connection:
        connection.exec_driver_sql("create table vaults (id int)")
    with pytest.raises(sa.exc.DatabaseError):
        upgrade(database)
    assert set(shape(database)) == {"vaults"}
    assert current(database) is None


def test_three_processes_upgrade_at_once(make_database: Make) -> None:
    database = make_database()
    others = [Database(database.url) for _ in range(3)]
    told: list[list[str]] = []
    threads = [threading.Thread(target=lambda d=d: told.append(upgrade(d))) for d in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert len(told) == 3
    assert current(database) == HEAD


def test_a_catalogue_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(Precondition) as refused:
        upgrade(database)
    assert "newer" in refused.value.hint
    assert current(database) == "9999"


def test_the_first_tables_without_a_step_are_taken_over(make_database: Make) -> None:
    database = make_database()
    with database.writing() as connection:
        metadata.create_all(connection)
        audit.append(connection, NOW, "me", ("do", "a thing"))
    upgrade(database)
    assert current(database) == HEAD
    with database.reading() as connection:
        assert connection.execute(sa.text("select count(*) from audit")).scalar() == 1


def test_other_tables_without_a_step_are_not(make_database: Make) -> None:
    database = make_database()
    with database.writing() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("alter table vaults add column colour text")
    with pytest.raises(Precondition):
        upgrade(database)
    assert current(database) is None
