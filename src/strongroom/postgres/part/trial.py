"""What a drill asks of the server that it has restored: counts of rows, and people's assertions.

Assertions come from people: each is asked as one statement by a role that may read and nothing
else, in a transaction that reads. What it says when it fails is told only where the words cannot
hold a value of a row. Source: PostgreSQL manual, "Predefined Roles", "Error Codes".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from strongroom.model.work.drill import TRUE, Answer, Assertion, TableCount
from strongroom.postgres.part.amcheck import Connection, Watch, is_damage, is_of_library, words_of
from strongroom.postgres.part.scratch_server import PORT, ScratchServer

NOT_ASKED = "not asked"  # and why: the host lacks something
OTHER_LOCALE = "incompatible with operating system"
ASSERTION_SECONDS = 600
_LOCK_SECONDS = 60  # a prepared transaction of the source may hold one for ever
# Named by the server: a name of a database of SQL_ASCII need not be text.
_USER_TABLES = """
select nspname || '.' || relname, pg_catalog.convert_to(pg_catalog.format(
  'select count(*) from only %I.%I', nspname, relname), pg_catalog.pg_client_encoding())
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'm') and relpersistence <> 't' and relispopulated
and nspname !~ '^pg_' and nspname <> 'information_schema' order by nspname, relname
"""
_MISSING = """
select extname from pg_catalog.pg_extension e where not exists
(select from pg_catalog.pg_available_extensions a where a.name = extname) order by 1
"""
_TRIGGERS = """
select pg_catalog.convert_to(pg_catalog.format('alter event trigger %I disable', evtname),
  pg_catalog.pg_client_encoding())
from pg_catalog.pg_event_trigger where evtenabled <> 'D'
"""
_LET_IN = """
select pg_catalog.convert_to(pg_catalog.format(words, %s::text, %s::text),
  pg_catalog.pg_client_encoding())
from pg_catalog.unnest(array['grant connect on database %%1$I to %%2$I',
  'alter database %%1$I reset session_preload_libraries']) words
"""
_READER = (
    "-c default_transaction_read_only=on -c default_transaction_isolation=read\\ committed "
    "-c row_security=off -c local_preload_libraries= "
    f"-c statement_timeout={ASSERTION_SECONDS}s -c lock_timeout={_LOCK_SECONDS}s"
)


@contextmanager
def opened(server: ScratchServer, database: str) -> Iterator[Connection]:
    """As its superuser, with nothing of the database's own running along. Raises TargetError."""
    with server.connect(database) as connection:
        connection.execute(f"set lock_timeout = '{_LOCK_SECONDS}s'")
        for (words,) in connection.execute(_TRIGGERS).fetchall():
            connection.execute(words)
        yield connection


def missing_extensions(connection: Connection) -> list[str]:
    """Extensions of the database that this host does not have."""
    return [str(name) for (name,) in connection.execute(_MISSING).fetchall()]


@dataclass(slots=True)
class Counted:
    """Rows of a table, or why they could not be counted; `damage`: the data is why."""

    table: TableCount
    problem: str = ""
    damage: bool = False


def count_tables(connection: Connection, database: str, watch: Watch) -> Iterator[Counted]:
    """Every table of people's, without its children's rows."""
    for name, words in connection.execute(_USER_TABLES).fetchall():
        watch()
        table = TableCount(database=database, table=name, rows=0)
        try:
            row = connection.execute(words).fetchone()
        except psycopg.Error as error:
            if connection.broken:
                raise
            yield Counted(table, f"table {table.table}: {words_of(error)}", is_damage(error))
            continue
        table.rows = int(row[0]) if row else 0
        yield Counted(table)


def make_reader(connection: Connection, role: str) -> None:
    """The role that asks: it may log in, and read every row."""
    name = sql.Identifier(role)
    connection.execute(
        sql.SQL("create role {} login bypassrls in role pg_read_all_data").format(name)
    )
    connection.execute("alter role all reset session_preload_libraries")


def let_in(connection: Connection, database: str, role: str) -> None:
    """The role may connect to a database, whoever may, and nothing is loaded when it does."""
    for (words,) in connection.execute(_LET_IN, (database, role)).fetchall():
        connection.execute(words)


def ask(server: ScratchServer, role: str, asked: Assertion) -> Answer:
    """Ask one; whatever goes wrong with it is its answer."""
    return Answer(name=asked.name, database=asked.database, answer=_answer(server, role, asked))


def _answer(server: ScratchServer, role: str, asked: Assertion) -> str:
    try:
        with psycopg.connect(
            host=str(server.sockets),
            port=PORT,
            user=role,
            dbname=asked.database,
            options=_READER,
            client_encoding="UTF8",
        ) as connection:
            connection.read_only = True
            # Prepared: one statement and no more. bytes: psycopg takes them as they are.
            cursor = connection.execute(asked.query.encode(), prepare=True)
            return _judge(cursor.fetchmany(2) if cursor.description else [])
    except psycopg.Error as error:
        return _why_not(error)


def _judge(rows: list[Any]) -> str:
    if len(rows) != 1 or len(rows[0]) != 1:
        return "it does not answer one row of one column"
    (value,) = rows[0]
    if value is None:
        return "null"
    if not isinstance(value, bool):
        return "it answers something that is neither true nor false"
    return TRUE if value else "false"


def _why_not(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if is_of_library(error) or OTHER_LOCALE in str(error):
        return f"{NOT_ASKED}: {words_of(error)}"
    if state == "57014":
        return f"it took longer than {ASSERTION_SECONDS} seconds"
    # Class 42 speaks of names and privileges; others may quote what a row holds.
    said = words_of(error) if state.startswith(("42", "3D")) else type(error).__name__
    return f"it fails: {said}"
