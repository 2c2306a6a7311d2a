"""Names that a server keeps as something else than UTF-8: what they name is backed up, drilled and
loaded as everything else. SQL_ASCII keeps bytes, whatever they mean.
"""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from drills import drills
from increments import Chain, a_chain
from integration.servers import Server, open_directory, start_server
from logical import dumps
from strongroom.postgres.backup.check import look
from strongroom.postgres.dump.dump import survey
from strongroom.postgres.server.table_sizes import largest_tables

pytestmark = pytest.mark.postgres
SERVERS = [(15, "SQL_ASCII"), (18, "SQL_ASCII"), (18, "LATIN1")]
ROWS = 1000
FILL = (
    b'create role "r\xf4le"',
    b'create database "caf\xe9"',
    b'create table "t\xe9" ("n\xe9" int primary key, word text)',
    b"insert into \"t\xe9\" select g, 'caf\xe9 ' || g from generate_series(1, 1000) g",
    b'create table "na\xc3\xafve" as select 1 as one',
    b'alter table "t\xe9" owner to "r\xf4le"',
    b"comment on table \"t\xe9\" is 'd\xe9j\xe0 vu'",
    b'create function "f\xe9"() returns event_trigger language plpgsql as $$ begin end $$',
    b'create event trigger "\xe9" on ddl_command_start execute function "f\xe9"()',
)
ROWS_OF = b"select count(*), md5(string_agg(word, ',' order by word)) from \"t\xe9\""

OWNER = (
    b"select rolname, rolname = tableowner from pg_roles, pg_tables "
    b"where tablename = 't\xe9' and rolname ~ '^r'"
)


def _ask(server: Server, *statements: bytes, database: str = "postgres") -> list[tuple[object]]:
    with server.connect(database) as connection:
        connection.execute("select set_config('client_encoding', getdatabaseencoding(), false)")
        for each in statements:
            cursor = connection.execute(each)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module", params=SERVERS, ids=str)
def kind(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Its major version and its encoding."""
    return request.param


def _a_server(major: int, encoding: str) -> AbstractContextManager[Server]:
    return start_server(major, options=(f"--encoding={encoding}", "--locale=C"))


@pytest.fixture(scope="module")
def server(kind: tuple[int, str]) -> Iterator[Server]:
    with _a_server(*kind) as found:
        _ask(found, *FILL)
        yield found


@pytest.fixture
def strange(kind: tuple[int, str]) -> str:
    """How e with an acute accent is shown."""
    return "\u00e9" if kind[1] == "LATIN1" else "\ufffd"


@pytest.fixture(scope="module")
def chain(server: Server) -> Iterator[Chain]:
    with a_chain(server) as found:
        found.back_up()
        yield found


def test_it_is_looked_at(server: Server, strange: str) -> None:
    facts = look(server.parsed(), "orders")
    assert facts.ready, facts.problems
    assert {"postgres", f"caf{strange}"} <= set(facts.databases)
    assert survey(server.parsed()).unreachable == [f"caf{strange}"]
    tables = {each.table for each in largest_tables(server.parsed(), {"postgres": 1})}
    assert f"public.t{strange}" in tables


def test_a_point_of_it_comes_back(server: Server, chain: Chain) -> None:
    with chain.restored(0) as back:
        assert _ask(back, ROWS_OF) == _ask(server, ROWS_OF)
        names = b"select datname from pg_database order by 1"
        assert _ask(back, names) == _ask(server, names)


def test_a_point_of_it_passes_a_drill(chain: Chain, kind: tuple[int, str], strange: str) -> None:
    with drills() as drilled:
        result = drilled.of_chain(chain, 0)
    assert not result.problems, result.problems
    rows = {each.table: each.rows for each in result.tables}
    utf8 = "na\u00c3\u00afve" if kind[1] == "LATIN1" else "na\u00efve"
    assert rows == {f"public.t{strange}": ROWS, f"public.{utf8}": 1}
    assert result.databases == 2


def test_a_dump_of_it_is_loaded(server: Server, kind: tuple[int, str]) -> None:
    with dumps() as made:
        told = made.dump(server.conninfo)
        assert set(told.databases) == {"postgres"}
        (warning,) = told.warnings
        assert warning["facts"]["databases"][0].startswith("caf")
        with _a_server(18, kind[1]) as new:
            done = made.load(new, {"postgres": "copy"}, roles=True)
            assert not done.warnings
            assert _ask(new, ROWS_OF, database="copy") == _ask(server, ROWS_OF)
            assert _ask(new, OWNER, database="copy") == _ask(server, OWNER)


def test_one_database_of_a_point_is_loaded_beside_the_rest(server: Server, chain: Chain) -> None:
    done = chain.extract(0, server, "postgres", "beside")
    assert not done.warnings
    for asked in (ROWS_OF, OWNER):
        assert _ask(server, asked, database="beside") == _ask(server, asked)
    _ask(server, b"drop database beside")


def test_its_databases_are_left_as_files(server: Server, chain: Chain) -> None:
    with open_directory() as place:
        chain.as_files(0, place / "files")
        names = [each.name for each in (place / "files").iterdir()]
        assert len([name for name in names if "caf" in name]) == 1, names
        server.sql("create database filled template template0")
        dump = ["-d", "filled", str(place / "files" / "database_postgres.sql")]
        where = ["-h", str(server.home), "-p", str(server.port), "-U", "postgres"]
        subprocess.run([server.tools.program("pg_restore"), *where, *dump], check=True)
    assert _ask(server, ROWS_OF, database="filled") == _ask(server, ROWS_OF)
    server.sql("drop database filled")


def test_its_dumps_are_left_as_files(server: Server) -> None:
    with dumps() as made, open_directory() as place:
        made.dump(server.conninfo)
        order = made.extract_order("files", target_directory=str(place / "files"))
        made.extract(order)
        roles = (place / "files" / "roles.sql").read_bytes()
    assert ("r\u00f4le".encode() in roles) or (b"r\xf4le" in roles)
