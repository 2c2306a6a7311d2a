"""Histories that an earlier version wrote go on in this one.

`tests/golden/durable-history-1.json` holds the rows of a story that was killed in its last step:
results, an error that was tried until it counted, waits that were answered and not, a sleep. It
is never made anew: a version that cannot read it may not be released. To keep one of a new
version beside it: `python -m integration.durable.test_history FILE` in `tests/`.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from integration.durable.stories import Processes
from strongroom.catalog.basis.database import Database

GOLDEN = Path(__file__).parents[2] / "golden" / "durable-history-1.json"
TABLES = ("workflow_status", "workflow_input", "operation_outputs", "notifications")


def tables(database: Database) -> list[sa.Table]:
    schema = None if database.is_sqlite else "dbos"
    metadata = sa.MetaData()
    return [
        sa.Table(name, metadata, autoload_with=database.engine, schema=schema) for name in TABLES
    ]


def test_a_stored_history_goes_on_from_where_it_was(processes: Processes) -> None:
    processes.run("fresh")  # makes the tables
    stored: dict[str, list[dict[str, Any]]] = json.loads(GOLDEN.read_text())
    database = Database(processes.url)
    found = tables(database)
    with database.writing() as connection:
        for table in found:
            if stored[table.name]:
                connection.execute(table.insert(), stored[table.name])
    database.close()
    processes.open_gate()
    processes.start("a")
    state, result, _ = processes.ended("w1")
    assert state == "succeeded"
    assert result[0] == [1, {"__error__": 2}]
    assert result[1]["kind"] == "StoreUnavailable"
    assert result[1]["hint"] == "start it"
    assert result[2:] == [{"n": 1}, None]
    assert processes.trace == ["hold a"]


def main(path: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        processes = Processes(f"sqlite:///{home}/jobs.sqlite", home)
        processes.start("a", ["enqueue", "tells", "w1"], ["notify", "w1", "news", {"n": 1}])
        processes.wait_for("hold a")
        processes.kill("a")
        database = Database(processes.url)
        found = tables(database)
        with database.reading() as connection:
            stored = {
                table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
                for table in found
            }
        database.close()
    path.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
