"""A part of a recovery point, loaded into a server that this agent looks after.

What has the same name there already is never touched: it is looked for before anything is fetched.
What was begun and could not be finished is taken away again. An agent that was killed cannot do
that: tables come in one transaction, and a database says in its comment whose load it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Failed, Precondition, TargetNotEmpty
from strongroom.model.extract import ExtractOrder, TableName, read_table
from strongroom.model.postgres import major_of
from strongroom.postgres import load
from strongroom.postgres.client import client_of
from strongroom.postgres.connect import Conninfo, connect
from strongroom.postgres.tools import Tools, find_tools

_LOADING = "strongroom: being loaded, by order"


@dataclass(frozen=True, slots=True)
class Content:
    """A dump that lies on this host, and what its objects need of a server."""

    dump: Path
    tables: Sequence[TableName]  # none: a whole database
    roles: frozenset[str]  # owners, and who was granted something
    described: Mapping[str, Any]  # encoding and locale of the database


class IntoServer:
    """One order's target."""

    def __init__(self, order: ExtractOrder, conninfo: Conninfo, source_version: int) -> None:
        self._order = order
        self._conninfo = conninfo
        self._source_version = source_version

    @property
    def database(self) -> str:
        """Where it goes."""
        renamed = "" if self._order.table else self._order.rename
        return renamed or self._order.database

    def check(self) -> None:
        """Before anything is fetched. Raises TargetNotEmpty, TargetRefused, Precondition."""
        with connect(self._conninfo) as connection:
            load.check_major(self._source_version, connection.info.server_version)
            there = load.databases_of(connection)
            if not self._order.table and self.database in there:
                self._take_away_unfinished(connection)
        if self._order.table and self.database not in there:
            raise Precondition(
                f"{self._order.target_server} has no database {self.database}",
                hint=f"Make it first (createdb {self.database}), or restore the whole database.",
            )
        if self._order.table:
            self._check_absent(read_table(self._order.rename or self._order.table))

    @property
    def _note(self) -> str:
        return f"{_LOADING} of job {self._order.job_id}: it is not whole before this goes"

    def _take_away_unfinished(self, connection: load.Connection) -> None:
        """What a try of this order left when it was killed; TargetNotEmpty for all else."""
        note = load.note_of_database(connection, self.database)
        if note == self._note:
            load.drop_database(connection, self.database)
            return
        name, server = self.database, self._order.target_server
        if note.startswith(_LOADING):
            quoted = sql.Identifier(name).as_string(connection)
            raise TargetNotEmpty(
                f"{server} has a database {name} that another load has not finished: {note}",
                hint="When that job runs no more, drop what it left, and load again: "
                f"DROP DATABASE {quoted} WITH (FORCE);",
            )
        raise TargetNotEmpty(
            f"{server} has a database {name} already",
            hint="Load it under another name: --rename NEW.",
        )

    def _check_absent(self, table: TableName) -> None:
        query = (
            "select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
            "on n.oid = c.relnamespace where nspname = %s and relname = %s"
        )
        with connect(self._conninfo.changed(dbname=self.database)) as connection:
            if connection.execute(query, (table.schema, table.name)).fetchone():
                raise TargetNotEmpty(
                    f"{self._order.target_server} has a {table} in {self.database} already",
                    hint="Load it under another name: --rename schema.table.",
                )

    def load(self, held: HeldLease, content: Content) -> list[Failed]:
        """All of it, or nothing stays there -> warnings. Raises TargetError, SourceError."""
        with connect(self._conninfo) as connection:
            tools = find_tools(major_of(connection.info.server_version))
            missing = sorted(content.roles - load.existing_roles(connection))
        with self._taken_away_on_failure(content):
            self._restore(held, tools, content, owners=not missing)
        if not missing:
            return []
        told = Failed(
            f"what was loaded belongs to the role that loaded it, without privileges: the server "
            f"has no role {', '.join(missing[:5])}",
            hint="Make the roles and set owners and privileges, or drop it, make them, and retry.",
        )
        return [told]

    def _restore(self, held: HeldLease, tools: Tools, content: Content, *, owners: bool) -> None:
        jobs = 0 if content.tables else 1
        with client_of(self._conninfo) as client:
            program = load.restore_database(
                tools, client, self.database, content.dump, jobs=jobs, owners=owners
            )
            with program, held.when_stopped(program.kill):
                program.run(held.check)

    @contextmanager
    def _taken_away_on_failure(self, content: Content) -> Iterator[None]:
        inside = self._conninfo.changed(dbname=self.database)
        if not content.tables:
            with connect(self._conninfo) as connection:
                load.create_database(connection, self.database, content.described)
                load.note_on_database(connection, self.database, self._note)
        else:
            with connect(inside) as connection:
                for schema in {table.schema for table in content.tables}:
                    words = sql.SQL("create schema if not exists {}")
                    connection.execute(words.format(sql.Identifier(schema)))
        try:
            yield
            if not content.tables:
                with connect(self._conninfo) as connection:
                    load.note_on_database(connection, self.database, None)
        except BaseException:
            with connect(inside if content.tables else self._conninfo) as connection:
                if not content.tables:
                    load.drop_database(connection, self.database)
                for table in reversed(content.tables):
                    name = sql.Identifier(table.schema, table.name)
                    connection.execute(sql.SQL("drop table if exists {}").format(name))
            raise
