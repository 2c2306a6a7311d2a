"""Many who write at once, on both databases: each has its turn, and nobody meets a bare error."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import operations
from strongroom.catalog.tables.tables import executors
from strongroom.catalog.tables.tables import operations as operation_rows
from strongroom.model.errors import Conflict, ControlUnavailable, VaultError

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
WRITERS = 8


def at_once(write: Callable[[int], object]) -> list[object]:
    """What each of eight threads got: its answer, or the error that it met."""
    begin = threading.Barrier(WRITERS)
    found: list[object] = []

    def live(number: int) -> None:
        begin.wait()
        try:
            found.append(write(number))
        except (VaultError, sa.exc.SQLAlchemyError) as error:
            found.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_the_same_row_twice_is_a_conflict_in_our_own_words(database: Database) -> None:
    """The first transaction is still open when the second one comes."""
    is_written, second = threading.Event(), threading.Event()
    met: list[VaultError] = []

    def come_second() -> None:
        is_written.wait()
        second.set()
        try:
            with database.writing() as connection:
                connection.execute(executors.insert().values(id="a", seen_at=NOW))
        except VaultError as error:
            met.append(error)

    thread = threading.Thread(target=come_second)
    thread.start()
    with database.writing() as connection:
        connection.execute(executors.insert().values(id="a", seen_at=NOW))
        is_written.set()
        assert second.wait(10)
    thread.join()
    assert [type(error) for error in met] == [Conflict]
    assert met[0].hint


def test_a_request_that_is_sent_eight_times_at_once_is_one_operation(database: Database) -> None:
    def begin(number: int) -> str:
        with database.writing() as connection:
            known = operations.find_by_request(connection, "the same request")
            if known is not None:
                return known
            operation = {"id": f"op{number}", "kind": "backup", "resource_id": "r"}
            operation |= {"status": "Inprogress", "principal_id": "me", "started_at": NOW}
            operations.add(connection, {**operation, "request_key": "the same request"})
            return f"op{number}"

    answers = at_once(begin)
    with database.reading() as connection:
        rows = connection.execute(sa.select(operation_rows.c.id)).scalars().all()
    assert len(rows) == 1
    assert answers == list(rows) * WRITERS


def test_the_audit_chain_holds_while_many_write(database: Database) -> None:
    def note(number: int) -> None:
        for turn in range(5):
            with database.writing() as connection:
                audit.append(connection, NOW, "me", ("do", f"{number}.{turn}"))

    assert at_once(note) == [None] * WRITERS
    with database.reading() as connection:
        assert audit.first_break(connection) is None
        last = connection.execute(sa.select(sa.func.max(audit.audit.c.sequence))).scalar()
    assert last == WRITERS * 5


def test_what_is_missing_by_our_own_fault_stays_a_bug(database: Database) -> None:
    def ask() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("select * from no_such_table")

    with pytest.raises(sa.exc.SQLAlchemyError):
        ask()


def test_a_value_that_must_be_there_is_no_conflict(database: Database) -> None:
    def forget_one() -> None:
        with database.writing() as connection:
            connection.execute(executors.insert().values(id="a", seen_at=None))

    with pytest.raises(sa.exc.IntegrityError):
        forget_one()


def test_nobody_waits_for_ever_for_a_writer_that_has_frozen(database: Database) -> None:
    with database.reading() as connection:
        if database.is_sqlite:
            assert connection.exec_driver_sql("pragma busy_timeout").scalar() == 30_000
            return
        for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.exec_driver_sql(f"show {name}").scalar() == "30s"


def test_any_number_of_processes_may_open_a_new_catalogue_at_once(tmp_path: Path) -> None:
    """Going over to WAL, SQLite answers "busy" without waiting: one round in seven met it."""
    opened = []

    def open_one(url: str, begin: threading.Barrier) -> None:
        database = Database(url)
        begin.wait()
        with database.writing() as connection:
            opened.append(connection.exec_driver_sql("pragma journal_mode").scalar())
        database.close()

    for turn in range(25):
        asked = (f"sqlite:///{tmp_path}/new{turn}.sqlite", threading.Barrier(4))
        threads = [threading.Thread(target=open_one, args=asked) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened == ["wal"] * 100


def test_a_database_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/nowhere/catalogue.sqlite",
        f"postgresql+psycopg://postgres@/catalogue?host={tmp_path}",
    ):
        database = Database(url)
        with pytest.raises(ControlUnavailable) as met, database.writing():
            raise AssertionError
        assert met.value.hint
        database.close()
