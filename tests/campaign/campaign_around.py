"""What happens around a protected server: rewinds, upgrades, and copies that have its name."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine_rows import follow
from integration.copies import back_up
from integration.servers import Server, open_directory, run_restored, start_server
from journey.person import Person, a_person
from journey.world import until
from ports import free_port
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
_NOW = "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z'"
_OF_17 = "select 1 from recovery_points where facts like '%\"version_number\": 17%'"
_ROWS = "select n from entries order by n"


def ask(person: Person, query: str) -> list[tuple[Any, ...]]:
    place = f"file:{person.data}/serve/catalogue.sqlite?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as connection:
        return connection.execute(query).fetchall()


def whys(person: Person) -> str:
    """Why backups were full ones."""
    orders = ask(person, "select \"order\" from jobs where kind = 'Backup'")
    return " ".join(str(json.loads(order).get("why_full", "")) for (order,) in orders)


def either(*servers: Server) -> str:
    """To whichever of them takes writes."""
    hosts = ",".join(str(each.home) for each in servers)
    ports = ",".join(str(each.port) for each in servers)
    words = "user=postgres dbname=postgres target_session_attrs=read-write"
    return f"host={hosts} port={ports} {words}"


def protect(person: Person, conninfo: str) -> None:
    person.ok("protect", "-", "--name", "orders", stdin=conninfo)
    person.ok("server", "set", "orders", "--keep-every-second", "7d")
    until("a stream", lambda: ask(person, "select 1 from wal_streams where timeline > 0"))


def kept(person: Person, server: Server) -> None:
    """The vault has all that is committed now; a busy server's log is sealed at once."""
    server.sql("select pg_logical_emit_message(true, 'much', repeat('x', 5 << 20))")
    asked = "select (pg_current_wal_lsn() - '0/0')::bigint, pg_walfile_name(pg_current_wal_lsn())"
    ((end, name),) = server.sql(asked)
    of = f"timeline = {int(name[:8], 16)} and system_identifier = '{identifier(server)}'"
    reached = f"select 1 from wal_streams where end_lsn >= {end} and {of}"
    until("the log in the vault", lambda: ask(person, reached), 120)


def identifier(server: Server) -> str:
    return str(server.sql("select system_identifier from pg_control_system()")[0][0])


def a_moment(server: Server) -> tuple[str, list[int]]:
    """Now, and the rows there are; the next commit is later."""
    ((at,),) = server.sql(f"select {_NOW}")
    rows = [n for (n,) in server.sql(_ROWS)]
    server.sql("insert into later values (1)")
    return str(at), rows


def restored(person: Person, server: Server, *words: str) -> list[int]:
    directory = person.home / "restored"
    where = ("--to-dir", str(directory), "--start", "--port", str(free_port()), "--yes")
    person.ok("restore", "orders", *words, *where)
    try:
        with psycopg.connect(scratch.running(directory).conninfo) as connection:
            return [n for (n,) in connection.execute(_ROWS).fetchall()]
    finally:
        scratch.stop(server.tools, directory, "immediate")
        shutil.rmtree(directory)


def insert(server: Server, *numbers: int) -> None:
    server.sql(*(f"insert into entries values ({n})" for n in numbers))


@contextmanager
def a_house(major: int, **settings: Any) -> Iterator[tuple[Person, Server, Path]]:
    with ExitStack() as stack:
        options = () if major >= 18 else ("--data-checksums",)
        server = stack.enter_context(start_server(major, options=options, **settings))
        server.sql("create table entries (n int)", "create table later (n int)")
        place = stack.enter_context(open_directory())
        yield stack.enter_context(a_person()), server, place


def as_server_user(server: Server, *words: str, cwd: Path) -> None:
    user = scratch.drop_to(scratch.server_user(cwd))
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, **user)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("major", [15, 17])
def test_a_primary_that_was_rewound_follows_and_leads_again(major: int) -> None:
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    with a_house(major, wal_keep_size="256MB", **settings) as (person, primary, place):
        back_up(primary.parsed()).restore(place / "standby")
        follow(primary, place / "standby")
        with run_restored(primary, place / "standby") as standby:
            protect(person, either(primary, standby))
            insert(primary, 1, 2)
            person.ok("backup", "orders")
            ((end,),) = primary.sql("select pg_current_wal_lsn()")
            until(
                "the standby",
                lambda: standby.sql(f"select pg_last_wal_replay_lsn() >= '{end}'")[0][0],
            )
            standby.stop()
            insert(primary, 3)  # which nobody but the vault will have
            kept(person, primary)
            primary.kill()
            standby.start()
            standby.sql("select pg_promote()")
            insert(standby, 4)
            second, there = a_moment(standby)
            kept(person, standby)
            assert there == [1, 2, 4]
            rewind(primary, standby, place)
            follow(standby, primary.data_directory)
            primary.start()
            insert(standby, 5)
            until(
                "the old primary", lambda: primary.sql("select count(*) from entries")[0][0] == 4
            )
            standby.stop()
            primary.sql("select pg_promote()")
            insert(primary, 6)
            third, now = a_moment(primary)
            kept(person, primary)
            assert now == [1, 2, 4, 5, 6]
            assert restored(person, primary, "--at", third) == now
            assert restored(person, primary, "--at", second) == there
            person.ok("backup", "orders")
            # pg_rewind brings no summaries of the time that was rewound.
            assert ("WAL summaries" in whys(person)) == (major >= 17)
            assert restored(person, primary) == now


def rewind(old: Server, new: Server, place: Path) -> None:
    """What ran as primary becomes a copy of the new one again."""
    auto = (old.data_directory / "postgresql.auto.conf").read_text()
    conf = (old.data_directory / "postgresql.conf").read_text()
    old.start()
    old.stop()
    as_server_user(
        old,
        str(old.tools.program("pg_rewind")),
        f"--target-pgdata={old.data_directory}",
        f"--source-server={new.conninfo}",
        cwd=place,
    )
    (old.data_directory / "postgresql.conf").write_text(conf)
    (old.data_directory / "postgresql.auto.conf").write_text(auto)


@pytest.mark.timeout(600)
def test_an_upgrade_begins_a_generation_by_itself_and_old_moments_keep_their_major() -> None:
    with a_house(16) as (person, old, place):
        protect(person, old.conninfo)
        insert(old, 1, 2)
        kept(person, old)
        person.ok("backup", "orders")
        point = ask(person, "select id from recovery_points order by taken_at desc")[0][0]
        insert(old, 3)
        before, rows = a_moment(old)
        kept(person, old)
        old.stop()
        with start_server(17, options=("--data-checksums",)) as new:
            new.stop()
            upgrade(old, new, place)
            at_the_same_place(old, new)
            until("a gap", lambda: ask(person, "select 1 from wal_gaps"), 120)
            insert(new, 4)
            until("a new point", lambda: ask(person, _OF_17), 120)
            assert "log was lost: another server answers: its data began anew" in whys(person)
            kept(person, new)
            assert restored(person, old, "--point", point) == [1, 2]
            assert restored(person, old, "--at", before) == rows == [1, 2, 3]


def upgrade(old: Server, new: Server, place: Path) -> None:
    as_server_user(
        new,
        str(new.tools.program("pg_upgrade")),
        *("-b", str(old.tools.directory), "-B", str(new.tools.directory)),
        *("-d", str(old.data_directory), "-D", str(new.data_directory)),
        *("-U", "postgres", "-s", str(place), "--link"),
        cwd=place,
    )


def at_the_same_place(old: Server, new: Server) -> None:
    """Whoever asks for the old one finds the new one."""
    new.home, new.port = old.home, old.port
    new.configure(unix_socket_directories=old.home)
    new.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("major", [15, 17])
def test_a_copy_that_runs_beside_its_original_is_told_and_never_mixed_in(major: int) -> None:
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    with a_house(major, wal_keep_size="256MB", **settings) as (person, original, place):
        insert(original, 1)
        original.stop()
        shutil.copytree(original.data_directory, place / "copy", copy_function=shutil.copy2)
        chown = ["chown", "-R", f"--reference={original.data_directory}", str(place / "copy")]
        subprocess.run(chown, check=True)
        original.start()
        with run_restored(original, place / "copy") as copy:
            protect(person, either(original, copy))
            insert(original, 2)
            insert(copy, -2, -3)
            person.ok("backup", "orders")
            kept(person, original)
            before, rows = a_moment(original)
            kept(person, original)
            for _ in range(8):  # the copy runs ahead
                copy.sql("insert into later values (2)", "select pg_switch_wal()")
            original.stop()
            insert(copy, -4)
            why = "select 1 from wal_streams where facts like '%another log than the one%'"
            until("its log to be refused", lambda: ask(person, why), 60)
            refused = person.run("backup", "orders")
            assert "it is a copy of the server that is protected" in refused.stderr
            original.start()
            insert(original, 3)
            after, now = a_moment(original)
            kept(person, original)
            assert restored(person, original, "--at", before) == rows == [1, 2]
            assert restored(person, original, "--at", after) == now == [1, 2, 3]
