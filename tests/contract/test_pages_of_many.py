"""Pages of long lists: what a row tells of all others, and what a page may not look through."""

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from contract.test_catalog_nouns import NOW, a_group, a_policy, a_server, a_vault
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.protection import instances
from strongroom.catalog.work import jobs


def three_instances(connection: sa.Connection) -> str:
    """Two by one policy, one by another; their vault."""
    a_group(connection)
    vault = a_vault(connection)
    for name, policy in (("a", "often"), ("b", "often"), ("c", "seldom")):
        known = {row.id for row in connection.execute(sa.text("select id from policies"))}
        if f"id-of-{policy}" not in known:
            a_policy(connection, vault, policy)
        row: dict[str, Any] = {"id": name, "vault_id": vault, "name": name, "name_key": name}
        row |= {"server_id": a_server(connection, name), "policy_id": f"id-of-{policy}"}
        row |= {"properties": {}, "tags": {}, "state": "ProtectionConfigured"}
        instances.add(connection, {**row, "created_at": NOW})
    return vault


def test_each_row_of_a_page_knows_how_many_share_its_policy(database: Database) -> None:
    with database.writing() as connection:
        vault = three_instances(connection)
        found = instances.page_of_vault(connection, vault, "", 10)
        assert [(row["name"], row["policy_users"]) for row in found] == [
            *(("a", 2), ("b", 2)),
            ("c", 1),
        ]
        alone = instances.find(connection, vault, "b")
        assert alone is not None
        assert alone["policy_users"] == 2


def test_jobs_that_began_at_one_moment_are_paged_without_sorting_them(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    asked: list[tuple[str, Any]] = []
    sa.event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
    )
    with database.reading() as connection:
        jobs.page_of_vault(connection, "vault", None, 10)
    database.close()
    statement, parameters = asked[-1]
    with sqlite3.connect(path) as plain:
        plan = plain.execute(f"explain query plan {statement}", parameters).fetchall()
    assert plan
    assert not [line for line in plan if "B-TREE" in line[-1]]
