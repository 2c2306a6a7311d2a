"""Read every table and B-tree of a database the way PostgreSQL's own amcheck does.

Tables are read row by row with their toast, and each index is held against all of its table. What
the host lacks, such as an extension's library or a locale, is no fault of the data: it is told
apart from damage. Source: PostgreSQL manual, "amcheck"; SQLSTATE classes XX and 58.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]
Watch = Callable[[], None]  # raises to stop

SCHEMA = "strongroom_drill"
_MOST_LINES = 5  # that are told of one relation
_LIBRARY = re.compile(r"could not (access file|load library|find function)|incompatible library")
_WHERE = "select nspname from pg_extension e join pg_namespace n on n.oid = extnamespace "
_TABLES = """
select c.oid::bigint, pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'm', 't') and relam = 2 and relpersistence <> 't' order by c.oid
"""
_INDEXES = """
select c.oid::bigint, pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = relnamespace
join pg_catalog.pg_index i on indexrelid = c.oid
where c.relkind = 'i' and relam = 403 and indisvalid and indisready and relpersistence <> 't'
order by c.oid
"""
_COLLATIONS = """
select exists (select from pg_catalog.pg_collation
where oid in (select unnest(indcollation) from pg_catalog.pg_index) and collversion is not null
and collversion is distinct from pg_catalog.pg_collation_actual_version(oid))
"""
_DEFAULT = """
select datcollversion is not null and
datcollversion is distinct from pg_catalog.pg_database_collation_actual_version(oid)
from pg_catalog.pg_database where datname = pg_catalog.current_database()
"""


@dataclass(slots=True)
class Looked:
    """What was read, what is wrong with it, and what could not be looked at here."""

    relations: int = 0
    indexes: int = 0
    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def is_of_library(error: psycopg.Error) -> bool:
    """Whether a library of an extension is what is missing."""
    return _LIBRARY.search(str(error.diag.message_primary or error)) is not None


def is_damage(error: psycopg.Error) -> bool:
    """Whether it says that data is not as it should be: class XX, or a file of data is missing."""
    state = error.sqlstate or ""
    return (state.startswith("XX") or state == "58P01") and not is_of_library(error)


def words_of(error: psycopg.Error) -> str:
    """One line of what the server said."""
    return " ".join((error.diag.message_primary or str(error)).split())[:300]


def check_database(connection: Connection, watch: Watch) -> Looked:
    """All of one database, of which the connection's user is the superuser.

    Raises psycopg.OperationalError when the server has gone, and what `watch` raises.
    """
    looked = Looked()
    schema = _extension(connection, looked)
    if schema is None:
        return looked
    heap = sql.SQL(
        "select coalesce(blkno, -1), msg from {}.verify_heapam(relation => %s::oid::regclass, "
        "on_error_stop => false, check_toast => true)"
    ).format(sql.Identifier(schema))
    for oid, name in connection.execute(_TABLES).fetchall():
        watch()
        found = _ask(connection, looked, (heap, oid), f"table {name}")
        looked.problems += [f"table {name}: {line}" for line in _lines(found)]
        looked.relations += 1
    tree = sql.SQL(
        "select {}.bt_index_check(index => %s::oid::regclass, heapallindexed => true)"
    ).format(sql.Identifier(schema))
    elsewhere = _other_collations(connection)
    for oid, name in connection.execute(_INDEXES).fetchall():
        watch()
        _ask(connection, looked, (tree, oid), f"index {name}", elsewhere=elsewhere)
        looked.indexes += 1
    return looked


def _extension(connection: Connection, looked: Looked) -> str | None:
    """The schema of amcheck, made here unless the database has it; None when the host lacks it."""
    found = connection.execute(_WHERE + "where extname = 'amcheck'").fetchone()
    words = sql.SQL("alter extension amcheck update").format()
    if found is None:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(SCHEMA)))
        words = sql.SQL("create extension amcheck schema {}").format(sql.Identifier(SCHEMA))
    try:
        connection.execute(words)
    except psycopg.Error as error:
        if connection.broken:
            raise
        looked.unknown.append(f"amcheck is not here: {words_of(error)}")
        return None
    return SCHEMA if found is None else str(found[0])


def _other_collations(connection: Connection) -> bool:
    """Whether text is ordered here by other rules than at the source: then so are its indexes."""
    try:
        asked = [_COLLATIONS] + ([_DEFAULT] if connection.info.server_version >= 150000 else [])
        return any((connection.execute(words).fetchone() or [False])[0] for words in asked)
    except psycopg.Error:  # a locale that this host does not have at all
        if connection.broken:
            raise
        return True


def _ask(
    connection: Connection,
    looked: Looked,
    asked: tuple[sql.Composed, int],
    name: str,
    *,
    elsewhere: bool = False,
) -> list[Any]:
    """Rows; what the server refuses to say is a problem, or unknown."""
    try:
        return connection.execute(asked[0], (asked[1],)).fetchall()
    except psycopg.Error as error:
        if connection.broken:
            raise
        damaged = is_damage(error) and not (elsewhere and error.sqlstate == "XX002")
        (looked.problems if damaged else looked.unknown).append(f"{name}: {words_of(error)}")
        return []


def _lines(rows: list[Any]) -> Iterator[str]:
    for block, words in rows[:_MOST_LINES]:
        yield f"block {block}: {words}" if block >= 0 else str(words)
    if len(rows) > _MOST_LINES:
        yield f"{len(rows) - _MOST_LINES} more of it"
