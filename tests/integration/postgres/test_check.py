"""Every way in which a server says no, on real servers: what the hint says, done, works."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from integration.copies import back_up
from integration.servers import Server, open_directory, own, start_server
from ports import free_port
from seams import FakeClock
from strongroom.model.errors import (
    SourceError,
    SourceRefused,
    SourceUnreachable,
    SourceUnsupported,
)
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.backup.check import Refused, look
from strongroom.postgres.dump.dump import survey
from strongroom.postgres.server import scratch
from strongroom.postgres.server.connect import Conninfo, connect, replication
from strongroom.postgres.server.table_sizes import largest_tables

pytestmark = pytest.mark.postgres
SECRET = "hunter2-canary"


@pytest.fixture(scope="module", params=[14, 18])
def server(request) -> Iterator[Server]:
    with start_server(request.param) as server:
        server.sql(
            f"create role keeper login replication password '{SECRET}'",
            f"create role bob login password '{SECRET}'",
            f"create role \"Odd 'role\" login password '{SECRET}'",
            "create database shop",
            "create extension pg_trgm",
        )
        server.sql("create extension hstore", database="shop")
        yield server


@pytest.fixture
def hba(server):
    """Rules of access, put back at the end."""
    before = (server.data_directory / "pg_hba.conf").read_text()
    yield server.replace_hba
    (server.data_directory / "pg_hba.conf").write_text(before)
    server.sql("select pg_reload_conf()", "select pg_sleep(0.1)")


def seen(server: Server, user: str, password: str = SECRET, **more: str) -> ServerFacts:
    text = f"{server.tcp} user='{user}' password='{password}' sslmode=disable"
    facts = look(Conninfo.parse(text).changed(**more), "orders")
    assert facts.ready == (not facts.problems)
    assert SECRET not in str(facts.problems)
    assert password not in str(facts.problems)
    return facts


def test_a_ready_server_tells_all_of_itself(server, hba):
    hba(
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication all 127.0.0.1/32 scram-sha-256",
    )
    facts = seen(server, "keeper")
    assert facts.problems == []
    assert facts.version_number // 10000 == server.tools.major
    assert set(facts.databases) == {"postgres", "shop", "template1"}
    assert facts.size_bytes > sum(facts.databases.values()) > 20_000_000
    assert {"pg_trgm", "hstore", "plpgsql"} <= set(facts.extensions)
    assert facts.endpoint == f"127.0.0.1:{server.port}"
    assert not facts.in_recovery
    assert facts.data_directory == ""  # hidden from an ordinary role
    [(made_with,)] = server.sql("select rolname from pg_roles where oid = 10")
    assert facts.administrator == made_with != "keeper"
    identifier = server.sql("select system_identifier from pg_control_system()")[0][0]
    assert facts.system_identifier == str(identifier)


def test_a_superuser_sees_the_data_directory(server):
    assert look(server.parsed(), "orders").data_directory == str(server.data_directory)


def test_a_wrong_password(server, hba):
    hba(
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication all 127.0.0.1/32 scram-sha-256",
    )
    (problem,) = seen(server, "keeper", "wrong-canary").problems
    assert problem["kind"] == "SourceRefused"
    assert problem["message"] == "the server refuses the password of keeper"


def test_no_password(server, hba):
    hba(
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication all 127.0.0.1/32 scram-sha-256",
    )
    conninfo = Conninfo.parse(f"{server.tcp} user=keeper passfile=/nowhere")
    with pytest.raises(SourceRefused, match="asks for a password of keeper"), connect(conninfo):
        pass


@pytest.mark.parametrize("user", ["keeper", "Odd 'role"])
def test_the_line_that_is_missing_in_pg_hba_conf_can_be_pasted(server, hba, user):
    server.sql(f'alter role "{user}" replication')
    ordinary = "host all all 127.0.0.1/32 scram-sha-256"
    hba(ordinary)
    (problem,) = seen(server, user.replace("'", "\\'")).problems
    line = problem["facts"]["line"]
    assert line in problem["hint"]
    hba(ordinary, line)
    assert seen(server, user.replace("'", "\\'")).problems == []


def test_both_lines_are_asked_for_when_both_are_missing(server, hba):
    hba()
    ordinary, replicating = seen(server, "keeper").problems
    assert ordinary["facts"]["line"] == "host postgres keeper 127.0.0.1/32 scram-sha-256"
    assert replicating["facts"]["line"] == "host replication keeper 127.0.0.1/32 scram-sha-256"
    hba(ordinary["facts"]["line"], replicating["facts"]["line"])
    assert seen(server, "keeper").problems == []


def test_a_role_without_replication_gets_the_statement_that_gives_it(server, hba):
    hba(
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication all 127.0.0.1/32 scram-sha-256",
    )
    server.sql("alter role bob noreplication")
    (problem,) = seen(server, "bob").problems
    statement, _, other = problem["hint"].removeprefix("Run as a superuser: ").partition(" Or, ")
    assert statement == "ALTER ROLE bob REPLICATION;"
    assert other.startswith("without replication: Run as a superuser, in the database")
    server.sql(statement)
    assert seen(server, "bob").problems == []


def test_a_role_without_replication_is_refused_by_name_when_it_connects(server, hba):
    hba("host replication all 127.0.0.1/32 scram-sha-256")
    server.sql("alter role bob noreplication")
    conninfo = Conninfo.parse(f"{server.tcp} user=bob password={SECRET}")
    with pytest.raises(SourceRefused) as caught, replication(conninfo):
        pass
    assert caught.value.hint == "Run as a superuser: ALTER ROLE bob REPLICATION;"


def test_a_role_that_is_not_there(server):
    facts = look(server.parsed(user="nobody_here"), "orders")
    assert "CREATE ROLE nobody_here" in facts.problems[0]["hint"]


def test_a_database_that_is_not_there(server):
    facts = look(server.parsed(dbname="no_such"), "orders")
    assert [p["message"] for p in facts.problems] == ["there is no database no_such"]


def test_a_database_that_keeps_us_out_does_not_keep_us_from_the_server(server):
    server.sql("create database closed", "revoke connect on database closed from public")
    try:
        facts = look(server.parsed(user="keeper"), "orders")
        assert facts.problems == []
        assert "closed" not in facts.databases
    finally:
        server.sql("drop database closed")


def test_what_the_owner_of_a_database_puts_in_our_way_is_not_run_as_us(server):
    """Whose search path leads to a view of theirs: it would be run by a superuser."""
    server.sql(
        "create role mallory login",
        "create database trap owner mallory",
        "create role hurried login",
        "alter database trap set search_path = evil, pg_catalog",
        "alter role hurried set statement_timeout = 50",
    )
    server.sql(
        "create schema evil authorization mallory",
        "set role mallory",
        "create function evil.ours() returns text language plpgsql as "
        "$$ begin execute 'alter role mallory superuser'; return 'x'; end $$",
        "create view evil.pg_extension as select 'x'::text extname, evil.ours() extversion",
        "create view evil.pg_class as select evil.ours() relname",
        database="trap",
    )
    told = look(server.parsed(), "orders")
    assert told.ready
    assert "x" not in told.extensions
    largest_tables(server.parsed(), {"trap": 1})
    assert "plpgsql" in survey(server.parsed()).extensions["trap"]
    assert server.sql("select rolsuper from pg_roles where rolname = 'mallory'") == [(False,)]
    with connect(server.parsed(user="hurried")) as patient:
        assert patient.execute("select pg_sleep(0.1)").fetchone()


def test_a_name_that_another_encoding_has_left_does_not_keep_us_from_the_server(server):
    """The catalogue of databases is one, whatever the encoding of who writes into it."""
    server.sql("create database bytes encoding 'SQL_ASCII' template template0 lc_collate 'C' "
               "lc_ctype 'C'")  # fmt: skip
    with psycopg.connect(server.conninfo, dbname="bytes", autocommit=True) as connection:
        connection.execute("set client_encoding = 'SQL_ASCII'")
        connection.execute(b'create database "n\xe9"')
    facts = look(server.parsed(), "orders")
    assert facts.ready
    assert "n\ufffd" in facts.databases
    assert survey(server.parsed()).unreachable == ["n\ufffd"]
    with psycopg.connect(server.conninfo, dbname="bytes", autocommit=True) as connection:
        connection.execute(b'drop database "n\xe9"')
    server.sql("drop database bytes")


def test_a_database_that_is_full_or_just_dropped_does_not_keep_us_from_the_server(server, hba):
    hba("host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 trust")
    server.sql("create database narrow connection limit 0")
    facts = seen(server, "keeper")
    assert facts.ready, facts.problems
    [(oid,)] = server.sql("select oid from pg_database where datname = 'narrow'")
    place = server.data_directory / f"base/{oid}"
    place.rename(server.home / "away")  # as one that is being dropped
    assert look(server.parsed(), "orders").databases["narrow"] == 0
    (server.home / "away").rename(place)
    server.sql("drop database narrow")


def test_minimal_wal_level():
    with start_server(15, wal_level="minimal", max_wal_senders=0) as server:
        (problem,) = look(server.parsed(), "orders").problems
        assert problem["message"] == "wal_level is minimal"
        settings = dict(re.findall(r"(\w+) = (\w+)", problem["hint"]))
        assert "restart" in problem["hint"]
        server.stop()
        server.configure(**settings)
        server.start()
        assert look(server.parsed(), "orders").problems == []


def test_one_wal_sender_is_too_few():
    with start_server(15, max_wal_senders=1) as server:
        (problem,) = look(server.parsed(), "orders", "stream").problems
        assert problem["message"] == "1 of 1 WAL senders are free, a backup needs two"
        with pytest.raises(SourceRefused) as caught:
            back_up(server.parsed())
        assert "max_wal_senders" in caught.value.message
        name, value = re.findall(r"(\w+) = (\w+)", problem["hint"])[0]
        server.stop()
        server.configure(**{name: value})
        server.start()
        assert look(server.parsed(), "orders", "stream").problems == []


def test_all_problems_come_at_once():
    with start_server(15, max_wal_senders=1) as server:
        server.sql("create role bob login")
        server.replace_hba("host all all 127.0.0.1/32 trust")
        facts = look(Conninfo.parse(f"{server.tcp} user=bob sslmode=disable"), "orders")
        messages = " | ".join(problem["message"] for problem in facts.problems)
        assert "1 of 1 WAL senders" in messages
        assert "the role bob may not replicate" in messages
        assert "pg_hba.conf lets bob from 127.0.0.1 into no replication" in messages


def test_who_looks_again_and_again_leaves_no_fatal_line_each_time():
    with start_server(15) as server:
        server.sql("create role bob login", "create database closed", "create database shop")
        server.sql("revoke connect on database closed from public", "grant pg_monitor to bob")
        log, conninfo = scratch.start_log(server.data_directory), server.parsed(user="bob")
        clock, told = FakeClock(), []
        refused = Refused(clock)

        def fatal_lines() -> int:
            told.append(look(conninfo, "orders", "stream", refused))
            return log.read_text().count("FATAL")

        assert [fatal_lines() for _ in range(3)] == [1, 1, 1]
        clock.advance(3601)
        assert fatal_lines() == 2
        assert [each.problems for each in told] == [told[0].problems] * 4
        assert "closed" in told[0].databases
        server.sql("alter role bob replication")
        assert look(conninfo, "orders", "stream", refused).ready


def test_without_a_free_slot_the_backup_is_taken_with_a_warning():
    for slots in (0, 1):
        with start_server(15, max_replication_slots=slots) as server:
            if slots:
                server.sql("select pg_create_physical_replication_slot('taken')")
            assert look(server.parsed(), "orders").problems == []
            copy = back_up(server.parsed())
            (warning,) = copy.warnings
            assert "max_replication_slots" in warning.hint
            assert any(path.startswith("pg_wal/0000") for path in copy.paths)


def test_a_tablespace_at_a_path_that_the_server_cannot_send_is_named(server):
    with open_directory() as place:
        long = place / ("x" * 100)
        long.mkdir()
        server.sql(f"create tablespace long location '{own(long)}'")
        try:
            (problem,) = look(server.parsed(), "orders").problems
            assert problem["kind"] == "SourceUnsupported"
            assert str(long) in problem["message"]
            with pytest.raises(SourceError, match="too long"):
                back_up(server.parsed())
        finally:
            server.sql("drop tablespace long")


def test_nothing_listens():
    problems = look(Conninfo.parse(f"host=127.0.0.1 port={free_port()} user=x"), "orders").problems
    assert [p["kind"] for p in problems] == ["SourceUnreachable"]
    assert "nothing listens" in problems[0]["message"]


def test_no_socket():
    conninfo = Conninfo.parse("host=/nonexistent user=x")
    with pytest.raises(SourceUnreachable, match="nothing listens"), connect(conninfo):
        pass


def test_no_such_host():
    problems = look(Conninfo.parse("host=no-such-host.invalid user=x"), "orders").problems
    assert [p["kind"] for p in problems] == ["SourceUnreachable"]
    assert "there is no host" in problems[0]["message"]


def test_a_host_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        conninfo = Conninfo.parse(f"host=127.0.0.1 port={port} user=x connect_timeout=2")
        with pytest.raises(SourceUnreachable, match="not answer in time"), replication(conninfo):
            pass


@contextmanager
def an_old_server(version: str) -> Iterator[int]:
    """Just enough of a server to say which version it is."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack(">I", len(body) + 4) + body

    greeting = (
        message(b"R", struct.pack(">I", 0))
        + message(b"S", b"server_version\0" + version.encode() + b"\0")
        + message(b"S", b"client_encoding\0UTF8\0")
        + message(b"K", struct.pack(">II", 1, 2))
        + message(b"Z", b"I")
    )

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:  # it was shut down
                return
            with peer:
                peer.recv(4096)
                peer.sendall(greeting)
                peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(("version", "who"), [("13.9", "the server"), ("19devel", "strongroom")])
def test_a_version_that_is_not_supported_is_refused_by_name(version, who):
    with an_old_server(version) as port:
        text = f"host=127.0.0.1 port={port} user=x sslmode=disable gssencmode=disable"
        (problem,) = look(Conninfo.parse(text), "orders").problems
    assert problem["kind"] == "SourceUnsupported"
    assert problem["message"].startswith(f"PostgreSQL {version[:2]} is not supported")
    assert problem["hint"].startswith(f"Upgrade {who}")


def test_an_unsupported_server_is_not_read():
    with an_old_server("13.9") as port:
        text = f"host=127.0.0.1 port={port} user=x sslmode=disable gssencmode=disable"
        with pytest.raises(SourceUnsupported), replication(Conninfo.parse(text)):
            pass


def test_the_passfile_and_the_service_file_are_honoured(server, hba, tmp_path, monkeypatch):
    hba(
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication all 127.0.0.1/32 scram-sha-256",
    )
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"127.0.0.1:{server.port}:*:keeper:{SECRET}\n")
    passfile.chmod(0o600)
    services = tmp_path / "services.conf"
    services.write_text(
        f"[orders]\nhost=127.0.0.1\nport={server.port}\nuser=keeper\ndbname=shop\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    conninfo = Conninfo.parse(f"service=orders passfile={passfile}")
    facts = look(conninfo, "orders")
    assert facts.problems == []
    assert facts.endpoint == "service orders"
    assert back_up(conninfo).started.version_number // 10000 == server.tools.major


def test_the_largest_tables_are_told_with_their_indexes_and_none_of_a_closed_database(server):
    server.sql("create table big as select g, md5(g::text) from generate_series(1, 2000) g")
    server.sql("create index on big (g)", "create table small (n int)")
    ((size,),) = server.sql("select pg_total_relation_size('big')")
    found = largest_tables(Conninfo.parse(server.conninfo), {"postgres": 1, "no such": 2})
    mine = [each for each in found if each.table in {"public.big", "public.small"}]
    assert [(each.database, each.table) for each in mine] == [
        ("postgres", "public.big"),
        ("postgres", "public.small"),
    ]
    assert mine[0].bytes == size
    ((path,),) = server.sql("select pg_relation_filepath('big')")
    assert f"base/{mine[0].file}" == path
    server.sql("drop table big", "drop table small")
