"""How far jobs were, in both databases: kept from time to time, and gone after thirty days."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.work import job_samples
from strongroom.model.work.operation import Progress

BEGAN = Instant.parse_iso("2026-11-22T02:00:00Z")
SIZE = 3 << 40  # more than 32 bits hold


def test_a_job_keeps_how_far_it_was_until_that_is_forgotten(database: Database) -> None:
    def note(connection: sa.Connection, second: int, step: str) -> None:
        told = Progress(step=step, done_bytes=SIZE + second, stored_bytes=second)
        job_samples.note(connection, "j1", told, BEGAN.add(seconds=second))

    with database.writing() as connection:
        for second, step in ((0, "Reading"), (1, "Reading"), (2, "Reading"), (3, "Storing")):
            note(connection, second, step)
        found = job_samples.list_of_job(connection, "j1")
        assert [(each.number, each.done_bytes - SIZE, each.step) for each in found] == [
            (0, 0, "Reading"),
            (1, 2, "Reading"),
            (2, 3, "Storing"),
        ]
        assert job_samples.list_of_job(connection, "j2") == []
        assert job_samples.forget(connection, BEGAN.add(seconds=3)) == 2
        assert [each.step for each in job_samples.list_of_job(connection, "j1")] == ["Storing"]
