"""D1: a catalogue without room: nothing is half written, and it goes on when there is room."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from seams import SystemClock
from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import upgrade
from strongroom.catalog.oversight import audit
from strongroom.catalog.tables.tables import audit as table
from strongroom.model.errors import ControlUnavailable

pytestmark = pytest.mark.D1
MOST_ROWS = 10_000


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def note(database: Database, rows: int) -> None:
    """All of them, or none."""
    with database.writing() as connection:
        for number in range(rows):
            what = ("test", f"{number}" * 20)
            audit.append(connection, SystemClock().now(), "somebody", what)


def test_a_transaction_that_finds_no_room_leaves_nothing_and_the_next_one_goes_on(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    upgrade(database)

    def bound(connection: Any, _: object) -> None:
        (pages,) = connection.execute("pragma page_count").fetchone()
        connection.execute(f"pragma max_page_count = {pages + 4}")

    database.close()
    sa.event.listen(database.engine, "connect", bound)
    try:
        note(database, 3)
        with pytest.raises(ControlUnavailable, match="cannot be read or written") as full:
            note(database, MOST_ROWS)
        assert "full" in full.value.hint
        assert count(database) == 3
        sa.event.remove(database.engine, "connect", bound)
        database.close()
        note(database, 50)
        assert count(database) == 53
    finally:
        database.close()
