"""P1, P3: random moments of a server under load, over a failover, each equal to a model of it.

Four writers commit numbered rows and note when each became visible; at random moments the whole is
restored by time, position, transaction or name, and must hold exactly what had been committed.
"""

import contextlib
import random
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from campaign.seed import SEED
from engine_rows import follow
from integration.copies import back_up
from integration.servers import Server, open_directory, run_restored, start_server
from journey.person import Person, a_person
from journey.world import until
from ports import free_port
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
PARTS, TARGETS = 8, 5  # of each major: 200 restores in all
WRITERS = 4
_COMMITTED = "select n from entries order by n"


class Moment:
    """A restore that is asked for, and the rows that must be there."""

    def __init__(self, words: list[str], rows: list[int]) -> None:
        self.words = words
        self.rows = rows


def write_for_a_while(server: Server, chance: random.Random, first: int, seconds: float) -> None:
    """Rows from several sessions at once; some transactions roll back."""
    stop = threading.Event()
    numbers = iter(range(first, first + 10_000_000))
    lock = threading.Lock()

    def write(pauses: random.Random) -> None:
        with server.connect() as connection:
            while not stop.wait(pauses.random() / 50):
                with lock:
                    n = next(numbers)
                with connection.transaction(force_rollback=n % 7 == 0):
                    connection.execute("insert into entries values (%s)", (n,))

    threads = [
        threading.Thread(target=write, args=(random.Random(chance.random()),))
        for _ in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()


def note(server: Server, chance: random.Random, number: int) -> Moment:
    """A moment between two transactions, told in one of the four ways."""
    rows = [int(n) for (n,) in server.sql(_COMMITTED)]
    kind = chance.choice(["time", "xid", "name", "lsn"])
    if kind == "name":
        server.sql(f"select pg_create_restore_point('moment {number}')")
        return Moment(["--at-name", f"moment {number}"], rows)
    if kind == "xid":
        with server.connect() as connection, connection.transaction():
            connection.execute("insert into marks values (%s)", (number,))
            ((xid,),) = connection.execute("select pg_current_xact_id()::text").fetchall()
        return Moment(["--at-xid", str(int(xid) % (1 << 32))], rows)
    if kind == "lsn":
        ((lsn,),) = server.sql("select pg_current_wal_insert_lsn()::text")
        server.sql(f"insert into marks values ({number})")
        return Moment(["--at-lsn", str(lsn)], rows)
    ((at,),) = server.sql(
        "select to_char(clock_timestamp() at time zone 'UTC', "
        "'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z'"
    )
    server.sql(f"insert into marks values ({number})")
    return Moment(["--at", str(at)], rows)


def ask(person: Person, query: str) -> list[tuple[Any, ...]]:
    place = f"file:{person.data}/serve/catalogue.sqlite?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as connection:
        return connection.execute(query).fetchall()


def kept(person: Person, server: Server) -> None:
    ((end,),) = server.sql("select (pg_current_wal_lsn() - '0/0')::bigint")
    timeline = server.sql("select timeline_id from pg_control_checkpoint()")[0][0]
    reached = f"select 1 from wal_streams where end_lsn >= {end} and timeline >= {timeline}"
    until("the log in the vault", lambda: ask(person, reached), 120)


def restored(person: Person, server: Server, moment: Moment, directory: Path) -> list[int]:
    where = ["--to-dir", str(directory), "--start", "--port", str(free_port()), "--yes"]
    person.ok("restore", "orders", *moment.words, *where)
    try:
        with psycopg.connect(scratch.running(directory).conninfo) as connection:
            return [int(n) for (n,) in connection.execute(_COMMITTED)]
    finally:
        scratch.stop(server.tools, directory, "immediate")
        shutil.rmtree(directory)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("major", [14, 15, 16, 17, 18])
def test_every_moment_is_what_had_been_committed_by_then(major: int, part: int) -> None:
    chance = random.Random(f"{SEED}-{major}-{part}")
    with start_server(major) as primary, open_directory() as place, a_person() as person:
        primary.sql("create table entries (n bigint)", "create table marks (n int)")
        back_up(primary.parsed()).restore(place / "standby")
        follow(primary, place / "standby")
        with run_restored(primary, place / "standby") as standby:
            both = f"host={primary.home},{standby.home} port={primary.port},{standby.port} "
            both += "user=postgres dbname=postgres target_session_attrs=read-write"
            person.ok("protect", "-", "--name", "orders", stdin=both)
            person.ok("server", "set", "orders", "--keep-every-second", "7d")
            until("a stream", lambda: ask(person, "select 1 from wal_streams where timeline > 0"))
            moments, half = [], TARGETS // 2
            for number in range(TARGETS):
                server = primary if number < half else standby
                write_for_a_while(server, chance, number * 100_000, 0.5)
                moments.append(note(server, chance, number))
                if number == half // 2:
                    person.ok("backup", "orders")
                if number == half - 1:
                    kept(person, primary)
                    ((end,),) = primary.sql("select pg_current_wal_lsn()")
                    seen = f"select pg_last_wal_replay_lsn() >= '{end}'"
                    until("the standby", lambda seen=seen: standby.sql(seen)[0][0])
                    primary.kill()
                    standby.sql("select pg_promote()")
            kept(person, standby)
            assert ask(person, "select * from wal_gaps") == []
            for number, moment in enumerate(chance.sample(moments, len(moments))):
                directory = person.home / f"restored-{number}"
                assert restored(person, primary, moment, directory) == moment.rows, moment.words
