"""The catalogue on both of its databases: the same promises."""

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.migrate import HEAD, current, move, upgrade
from strongroom.catalog.oversight import audit
from strongroom.catalog.tables.tables import agents, executors, metadata
from strongroom.catalog.tables.tables import audit as audit_table
from strongroom.catalog.work import agent_operations
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import Conflict, LeaseLost
from strongroom.model.identities.access import Caller

NOW = Instant.parse_iso("2026-01-01T00:00:00.123456Z")


def test_an_instant_comes_back_to_the_microsecond(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(executors.insert().values(id="a", seen_at=NOW))
    with database.reading() as connection:
        assert connection.execute(sa.select(executors.c.seen_at)).scalar() == NOW


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            connection.execute(executors.insert().values(id="a", seen_at=NOW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(executors)).scalar() == 0


def test_sqlite_survives_power_loss_by_its_settings(database: Database) -> None:
    if not database.is_sqlite:
        with database.reading() as connection:
            assert connection.exec_driver_sql("show synchronous_commit").scalar() == "on"
        return
    with database.reading() as connection:
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"


def test_eight_writers_at_once_all_get_their_turn(database: Database) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(10):
                with database.writing() as connection:
                    row = executors.insert().values(id=f"{number}-{turn}", seen_at=NOW)
                    connection.execute(row)
        except sa.exc.SQLAlchemyError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(executors)).scalar() == 80


def test_an_edited_audit_record_is_found(database: Database) -> None:
    with database.writing() as connection:
        for number in range(5):
            audit.append(connection, NOW, "me", ("do", f"thing {number}"), {"n": number})
    with database.reading() as connection:
        assert audit.first_break(connection) is None
    with database.writing() as connection:
        connection.execute(
            audit_table.update().where(audit_table.c.sequence == 3).values(actor="you")
        )
    with database.reading() as connection:
        assert audit.first_break(connection) == 3


def test_a_clock_that_knows_nanoseconds_leaves_a_chain_that_holds(database: Database) -> None:
    at = NOW.add(nanoseconds=123_456_789)
    with database.writing() as connection:
        audit.append(connection, at, "me", ("do", "it"))
    with database.reading() as connection:
        assert audit.first_break(connection) is None


def test_a_stale_head_overwrites_no_record(database: Database) -> None:
    with database.writing() as connection:
        audit.append(connection, NOW, "me", ("do", "it"))
        stale = dict(connection.execute(sa.select(audit_table)).mappings().one())

    def write_again() -> None:
        with database.writing() as connection:
            connection.execute(audit_table.insert().values({**stale, "actor": "you"}))

    with pytest.raises(Conflict):
        write_again()
    with database.reading() as connection:
        assert audit.first_break(connection) is None
        assert connection.execute(sa.select(audit_table.c.actor)).scalars().all() == ["me"]


def test_a_record_is_signed_and_comes_back_to_the_last_digit(database: Database) -> None:
    signing = SigningKey(bytes(32))
    database.sign = signing.sign_record
    told = {"n": 1e22, "m": 10**30, "f": 0.1, "text": "\ud800 \N{SNOWMAN}", "none": None}
    caller = Caller(principal_id="me", address="::1")
    with database.writing() as connection:
        audit.append(connection, NOW, caller, ("do", "it"), told, before=told, after={"a": [1.0]})
    with database.reading() as connection:
        (record,) = audit.after(connection, 0, 10)
        assert audit.first_break(connection) is None
    assert (record.detail, record.before, record.after) == (told, told, {"a": [1.0]})
    assert (record.actor, record.address) == ("me", "::1")
    assert signing.public.has_signed_record(record.digest, record.signature)
    assert not signing.public.has_signed_record(record.digest[::-1], record.signature)


def an_operation(database: Database) -> None:
    with database.writing() as connection:
        agent = {"id": "agent-1", "name": "a", "token_hash": "h", "version": "1"}
        connection.execute(agents.insert().values(**agent, enrolled_at=NOW, seen_at=NOW))
        operation = {"id": "op", "agent_id": "agent-1", "kind": "check", "order": {}}
        agent_operations.offer(connection, {**operation, "created_at": NOW})
        agent_operations.offer(connection, {**operation, "created_at": NOW})


def test_a_later_lease_makes_an_earlier_one_void(database: Database) -> None:
    an_operation(database)
    later = NOW.add(seconds=120)
    with database.writing() as connection:
        first = agent_operations.lease(connection, "agent-1", "s1", NOW, NOW.add(seconds=60))
        assert first is not None
        assert first["epoch"] == 1
        assert agent_operations.lease(connection, "agent-1", "s1", NOW, later) is None
        second = agent_operations.lease(connection, "agent-1", "s2", later, later.add(seconds=60))
        assert second is not None
        assert second["epoch"] == 2
        with pytest.raises(LeaseLost):
            agent_operations.held(connection, "op", "agent-1", 1)
        assert agent_operations.held(connection, "op", "agent-1", 2)["id"] == "op"


def test_a_call_made_again_is_given_the_same_lease_until_that_has_ended(
    database: Database,
) -> None:
    an_operation(database)
    until = NOW.add(seconds=60)
    with database.writing() as connection:

        def lease(session: str, ask: str) -> tuple[str, int] | None:
            row = agent_operations.lease(connection, "agent-1", session, NOW, until, ask)
            return row and (row["id"], row["epoch"])

        assert lease("s1", "first") == ("op", 1)
        assert lease("s1", "first") == ("op", 1)
        assert lease("s1", "other") is None
        assert lease("s2", "first") is None
        assert lease("s1", "") is None
        agent_operations.offer_again(connection, "op")
        assert lease("s1", "first") == ("op", 2)
        agent_operations.end(connection, "op", "failed", error={})
        assert lease("s1", "first") is None


def test_a_lease_counts_no_more_once_its_operation_is_offered_again(database: Database) -> None:
    an_operation(database)
    with database.writing() as connection:
        agent_operations.lease(connection, "agent-1", "s1", NOW, NOW.add(seconds=60))
        assert agent_operations.held(connection, "op", "agent-1", 1)["id"] == "op"
        agent_operations.offer_again(connection, "op")
        with pytest.raises(LeaseLost):
            agent_operations.held(connection, "op", "agent-1", 1)


def test_an_agent_that_starts_again_is_given_its_work_at_once(database: Database) -> None:
    an_operation(database)
    with database.writing() as connection:
        agent_operations.lease(connection, "agent-1", "s1", NOW, NOW.add(seconds=60))
        assert agent_operations.void_other_sessions(connection, "agent-1", "s2") == 1
        again = agent_operations.lease(connection, "agent-1", "s2", NOW, NOW.add(seconds=60))
        assert again is not None
        assert again["epoch"] == 2


def test_the_steps_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    with database.reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_upgrading_twice_is_harmless_and_the_way_back_is_clean(database: Database) -> None:
    assert current(database) == HEAD
    assert "up to date" in upgrade(database)[0]
    move(database, "base")
    with database.reading() as connection:
        left = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
    assert left == set()
    upgrade(database)
    assert current(database) == HEAD
