"""A scratch server that holds a part of a recovery point, and what is dumped out of it.

Relations that were not asked for are files of the right size full of zeros. Recovery passes over
them: what the log says of their pages is applied where it carries the whole page, and skipped
where it does not. PostgreSQL lists the skipped pages in its log; one of a relation that we need
is an error.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from strongroom.model.errors import Corrupt, NotFound, TargetError
from strongroom.model.work.extract import TableName
from strongroom.postgres.dump.database_facts import read_facts
from strongroom.postgres.dump.database_settings import Setting
from strongroom.postgres.dump.identity_grants import read_identity_grants
from strongroom.postgres.dump.renames import companions, parents_of, rename_tables
from strongroom.postgres.part.needed_files import place_of
from strongroom.postgres.server import scratch
from strongroom.postgres.server.connect import any_names, can_be_asked_for, read_any_names
from strongroom.postgres.server.tools import Tools

PORT = 5432  # of a socket in a directory of our own: never taken
_SKIPPED = re.compile(r"page \d+ of relation (\S+) (?:is uninitialized|does not exist)")
MONEY_LOCALE = "C"  # every server knows it
# Over what roles and databases were given at the source, which would hold for us too.
SESSION = (
    "-c session_preload_libraries= -c local_preload_libraries= -c statement_timeout=0 "
    "-c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c row_security=off "
    "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed "
    f"-c idle_session_timeout=0 -c lc_monetary={MONEY_LOCALE} -c event_triggers=off"
)
Connection = psycopg.Connection[tuple[Any, ...]]
_NAME_CHARACTERS = 48  # kept of a database that is named anew: 63 are all there is
_TREE = """
asked(oid) as (
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = relnamespace
  where nspname = %(schema)s and relname = %(name)s and relkind in ('r', 'p', 'm')
  and c.oid >= 16384
  union select inhrelid from pg_catalog.pg_inherits join asked on inhparent = asked.oid)
"""
_TABLES = """
with recursive {asked} select nspname, relname from asked join pg_catalog.pg_class using (oid)
join pg_catalog.pg_namespace n on n.oid = relnamespace order by asked.oid
"""
_WITHOUT_ROWS = """
select relkind = 'm', relpersistence = 'u' from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = relnamespace
where nspname = %(schema)s and relname = %(name)s
"""
_UNLOGGED = """
select nspname, relname from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = relnamespace
where relkind = 'r' and relpersistence = 'u' and c.oid >= 16384 order by c.oid
"""
# A dump reads tables from end to end, but what an extension says is its settings, by a condition.
_FILES = """
with recursive {asked}, config(oid) as (select unnest(extconfig) from pg_catalog.pg_extension),
toast(oid) as (select reltoastrelid from asked join pg_catalog.pg_class using (oid)),
every(oid) as (
  select oid from asked union select oid from toast
  union select indexrelid from pg_catalog.pg_index join toast on indrelid = oid
  union select indexrelid from pg_catalog.pg_index join asked on indrelid = oid
    where oid in (select oid from config)
  union select oid from pg_catalog.pg_class where oid < 16384
    and (oid not in (2613, 2683) or oid in (select oid from asked)))
select case when relisshared then 0 else (select oid from pg_catalog.pg_database
  where datname = pg_catalog.current_database())::bigint end,
  pg_catalog.pg_relation_filenode(oid)::bigint
from every join pg_catalog.pg_class using (oid)
where pg_catalog.pg_relation_filenode(oid) is not null
"""
_ALL = """
asked(oid) as (
  select oid from pg_catalog.pg_class where relkind not in ('i', 'I') or oid = 2683)
"""


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """One that has recovered and accepts connections."""

    tools: Tools
    directory: Path
    sockets: Path
    superuser: str
    _kept: dict[str, Connection] = field(default_factory=dict, compare=False)  # by database

    @contextmanager
    def connect(self, database: str) -> Iterator[Connection]:
        """As its superuser. Raises TargetError."""
        try:
            kept = self._kept.get(database)
            if kept is not None:
                yield kept
                return
            with self._new_connection(database) as connection:
                read_any_names(connection)
                with any_names(connection):
                    yield connection
        except psycopg.Error as error:
            words = " ".join(str(error).split())[:300]
            raise TargetError(f"the scratch server answers: {words}") from error

    @contextmanager
    def connected(self, database: str) -> Iterator[None]:
        """Within: one connection serves all questions to a database, for each new one takes longer
        than most answers. Not for a template: no database can be made of one that is in use.
        """
        with self.connect(database) as connection:
            self._kept[database] = connection
            try:
                yield
            finally:
                del self._kept[database]

    def _new_connection(self, database: str) -> Connection:
        return psycopg.connect(
            host=str(self.sockets),
            port=PORT,
            user=self.superuser,
            dbname=database,
            options=_session(self.tools.major),
            client_encoding="UTF8",
            autocommit=True,
        )

    def environment(self, database: str) -> dict[str, str]:
        """What PostgreSQL's own programs need to reach it."""
        return {
            "PGHOST": str(self.sockets),
            "PGPORT": str(PORT),
            "PGUSER": self.superuser,
            "PGDATABASE": database,
            "PGOPTIONS": _session(self.tools.major),
        }

    def skipped(self) -> set[tuple[int, int]]:
        """(database, file number) of relations with pages that recovery passed over."""
        found = set()
        with scratch.start_log(self.directory).open(errors="replace") as log:
            for line in log:
                told = _SKIPPED.search(line)
                place = place_of(told[1]) if told else None
                if place is not None:
                    found.add((place.database, place.file))
        return found

    def check_recovered(self, needed: set[tuple[int, int]]) -> None:
        """Raises Corrupt when recovery could not do what it had to with a file that is needed."""
        lost = sorted(self.skipped() & needed)
        if lost:
            raise Corrupt(
                f"the write-ahead log speaks of pages that file {lost[0][1]} of database "
                f"{lost[0][0]} does not have",
                hint="Restore another recovery point, and verify this one.",
            )

    def files_of(self, database: str, table: TableName | None) -> set[tuple[int, int]]:
        """(database, file number) of what a dump reads: of a table, its children and their toast,
        or of all relations but indexes; and of the catalogues.
        """
        asked = _ALL if table is None else _TREE
        with self.connect(database) as connection:
            query = _FILES.format(asked=asked)
            found = connection.execute(query, _names(table) if table else None).fetchall()
        return {(int(str(owner)), int(str(number))) for owner, number in found}

    def tables(self, database: str, table: TableName) -> list[TableName]:
        """The table and its children; NotFound names what resembles it."""
        with self.connect(database) as connection:
            found = connection.execute(_TABLES.format(asked=_TREE), _names(table)).fetchall()
            if not found:
                raise _no_table(connection, database, table)
        return [TableName(schema=str(schema), name=str(name)) for schema, name in found]

    def without_rows(
        self, database: str, tables: Sequence[TableName]
    ) -> tuple[list[TableName], list[TableName]]:
        """Those that a dump brings without rows: materialized views, and what is not logged.

        Of no tables but a whole database, just the unlogged: loading it makes its views anew.
        """
        views, unlogged = [], []
        with self.connect(database) as connection:
            if not tables:
                names = connection.execute(_UNLOGGED).fetchall()
                return [], [TableName(schema=str(one), name=str(name)) for one, name in names]
            for table in tables:
                for is_view, is_unlogged in connection.execute(_WITHOUT_ROWS, _names(table)):
                    views += [table] if is_view else []
                    unlogged += [table] if is_unlogged else []
        return views, unlogged

    def parents(self, database: str, table: TableName) -> list[tuple[TableName, bool]]:
        """What it is a part of or inherits from, and whether it is a partition of that."""
        with self.connect(database) as connection:
            return parents_of(connection, table)

    def sequences(self, database: str, tables: Sequence[TableName]) -> list[TableName]:
        """Those that belong to columns of the tables."""
        found: list[TableName] = []
        with self.connect(database) as connection:
            for table in tables:
                found += [
                    TableName(schema=each.schema, name=each.name)
                    for each in companions(connection, table)
                    if each.kind == "sequence"
                ]
        return found

    def any_database(self) -> str:
        """One that is always there, for what all databases share."""
        return "template1"

    def databases(self) -> list[str]:
        """Those that may be connected to, but for templates.

        One that nobody could connect to by its name (connect.py) gets another from here on: what
        can be read of it, and its number.
        """
        with self.connect(self.any_database()) as connection:
            _rename_unreachable(connection)
            found = connection.execute(
                "select datname from pg_catalog.pg_database "
                "where datallowconn and not datistemplate order by datname"
            ).fetchall()
        return [str(name) for (name,) in found]

    def roles_of(self, database: str) -> frozenset[str]:
        """Who owns or was granted it or something there; the first superuser always may."""
        query = (
            "select rolname from pg_catalog.pg_roles where oid in (select refobjid "
            "from pg_catalog.pg_shdepend where refclassid = 'pg_catalog.pg_authid'::regclass "
            "and (select oid from pg_catalog.pg_database "
            "where datname = pg_catalog.current_database()) in (dbid, case when dbid = 0 "
            "and classid = 'pg_catalog.pg_database'::regclass then objid end))"
        )
        with self.connect(database) as connection:
            return frozenset(str(name) for (name,) in connection.execute(query).fetchall())

    def describe(self, database: str) -> dict[str, Any]:
        """As `load.create_database` and `load.settle_database` take it."""
        with self.connect(database) as connection:
            query = (
                "select pg_catalog.pg_encoding_to_char(encoding), pg_catalog.to_jsonb(d) "
                "from pg_catalog.pg_database d where datname = pg_catalog.current_database()"
            )
            ((encoding, row),) = connection.execute(query).fetchall()
            facts = read_facts(connection, database)[database] | read_identity_grants(connection)
        told: dict[str, Any] = dict(row)
        return {
            "encoding": encoding,
            "collate": told["datcollate"] or "",
            "ctype": told["datctype"] or "",
            "provider": told.get("datlocprovider") or "c",
            "locale": told.get("datlocale") or told.get("daticulocale") or "",
            "rules": told.get("daticurules") or "",
            "connectionLimit": told["datconnlimit"],
            **facts,
        }

    def settings_of(self, database: str) -> list[Setting]:
        """What was set for a database, and for roles in it."""
        query = (
            "select coalesce(r.rolname, ''), setting from pg_catalog.pg_db_role_setting s "
            "join pg_catalog.pg_database d on d.oid = s.setdatabase "
            "left join pg_catalog.pg_roles r on r.oid = s.setrole "
            "cross join pg_catalog.unnest(s.setconfig) setting "
            "where d.datname = pg_catalog.current_database() order by 1, 2"
        )
        with self.connect(database) as connection:
            rows = connection.execute(query).fetchall()
        told = ((str(role), str(setting).partition("=")) for role, setting in rows)
        return [Setting(role, name, value) for role, (name, _, value) in told]

    def rename_database(self, database: str, new: str) -> None:
        """Its row alone: no other database is here to connect to, as ALTER DATABASE demands."""
        with self.connect(database) as connection:
            connection.execute("set allow_system_table_mods = on")
            connection.execute(
                "update pg_catalog.pg_database set datname = %s where datname = %s",
                (new, database),
            )

    def rename_tables(
        self, database: str, tables: Sequence[TableName], new: TableName
    ) -> list[TableName]:
        """The first, and its children with it -> their new names (renames.py)."""
        with self.connect(database) as connection:
            return rename_tables(connection, tables, new)


def _rename_unreachable(connection: Connection) -> None:
    found = connection.execute("select oid, datname from pg_catalog.pg_database").fetchall()
    reachable = can_be_asked_for(connection, [name for _, name in found])
    for oid, name in found:
        if name in reachable:
            continue
        new = f"{name[:_NAME_CHARACTERS].encode('ascii', 'replace').decode()} {oid}"
        connection.execute("set allow_system_table_mods = on")
        renamed = "update pg_catalog.pg_database set datname = %s where oid = %s"
        connection.execute(renamed, (new, oid))


def _session(major: int) -> str:
    """`event_triggers` came with 17: a trigger of the source must not run at our connections."""
    return SESSION if major >= 17 else SESSION.replace(" -c event_triggers=off", "")


def _names(table: TableName) -> dict[str, str]:
    return {"schema": table.schema, "name": table.name}


def _no_table(connection: Connection, database: str, table: TableName) -> NotFound:
    like = connection.execute(
        "select nspname || '.' || relname from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = relnamespace where relkind in ('r', 'p', 'm') "
        "and nspname !~ '^pg_' and nspname <> 'information_schema' "
        "order by relname = %(name)s desc, nspname = %(schema)s desc, 1 limit 8",
        _names(table),
    ).fetchall()
    there = ", ".join(str(name) for (name,) in like) or "no table"
    return NotFound(
        f"database {database} of this recovery point has no table {table}",
        hint=f"It has, among others: {there}.",
    )
