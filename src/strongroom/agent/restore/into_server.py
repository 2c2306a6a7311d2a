"""A part of a recovery point, loaded into a server that this agent looks after.

What has the same name there already is never touched: it is looked for before anything is fetched,
and again, by all the names that come, before anything is loaded. A database that somebody made,
empty, is filled where it is. Of what could not be finished nothing stays, and nothing is dropped
for that but a database that was made here: tables come in one transaction, what fills a database
that was there too, and one that is made gets its name last.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import (
    Failed,
    Precondition,
    SourceError,
    TargetNotEmpty,
    VaultError,
)
from strongroom.model.postgres import major_of
from strongroom.model.work.extract import ExtractOrder, TableName, read_table
from strongroom.postgres.dump import load
from strongroom.postgres.dump.database_settings import Setting
from strongroom.postgres.dump.identity_grants import give_again, grants_of
from strongroom.postgres.dump.list_dump import owners_in, subscriptions_left_out
from strongroom.postgres.dump.money import reading_money
from strongroom.postgres.dump.new_database import is_of_job, left_by_others, new_database
from strongroom.postgres.part.scratch_server import MONEY_LOCALE
from strongroom.postgres.server.client import client_of
from strongroom.postgres.server.connect import Conninfo, connect
from strongroom.postgres.server.tools import Tools, find_tools


@dataclass(frozen=True, slots=True)
class Content:
    """A dump that lies on this host, and what its objects need of a server."""

    dump: Path
    tables: Sequence[TableName]  # none: a whole database
    roles: frozenset[str]  # owners, and who was granted something
    described: Mapping[str, Any]  # the database: encoding, locale, owner, who may enter
    settings: Sequence[Setting]  # of the database, and of roles in it


class IntoServer:
    """One order's target."""

    def __init__(self, order: ExtractOrder, conninfo: Conninfo, source_version: int) -> None:
        self._order = order
        self._conninfo = conninfo
        self._source_version = source_version
        self._was_there = False  # a database, empty

    @property
    def database(self) -> str:
        """Where it goes."""
        renamed = "" if self._order.table else self._order.rename
        return renamed or self._order.database

    def check(self) -> bool:
        """Before anything is fetched: whether an earlier try has done it all, untold.

        Raises TargetNotEmpty, TargetRefused, Precondition.
        """
        with connect(self._conninfo) as connection:
            load.check_major(self._source_version, connection.info.server_version)
            is_there = self.database in load.databases_of(connection)
            if is_there and not self._order.table:
                if is_of_job(connection, self.database, self._order.job_id):
                    return True
                self._check_empty()
                self._was_there = True
        if self._order.table:
            if not is_there:
                raise Precondition(
                    f"{self._order.target_server} has no database {self.database}",
                    hint=f"Make it first (createdb {self.database}), or restore all of it.",
                )
            self._check_absent([read_table(self._order.rename or self._order.table)])
        return False

    def _check_empty(self) -> None:
        try:
            load.check_empty(self._conninfo, self.database)
        except TargetNotEmpty as error:
            raise TargetNotEmpty(
                f"{self._order.target_server} has a database {self.database} already, and it is "
                "not empty",
                hint="Load it under another name: --rename NEW.",
            ) from error

    def _check_absent(self, tables: Sequence[TableName]) -> None:
        query = (
            "select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
            "on n.oid = c.relnamespace where nspname = %s and relname = %s"
        )
        with connect(self._conninfo.changed(dbname=self.database)) as connection:
            for table in tables:
                if connection.execute(query, (table.schema, table.name)).fetchone():
                    raise TargetNotEmpty(
                        f"{self._order.target_server} has a {table} in {self.database} already",
                        hint="Load it under another name: --rename schema.table.",
                    )

    def load(self, held: HeldLease, content: Content) -> list[VaultError]:
        """All of it, or nothing stays there -> warnings. Raises TargetError, SourceError."""
        if content.tables:
            self._check_absent(content.tables)
        with connect(self._conninfo) as connection:
            tools = find_tools(major_of(connection.info.server_version))
            missing = sorted(content.roles - load.existing_roles(connection))
            out_of_reach = load.out_of_reach(connection)
            warnings = left_by_others(connection, self._order.job_id)
        if not content.tables:
            warnings += subscriptions_left_out(tools, content.dump, self._order.database)
        barred = owners_in(tools, content.dump, out_of_reach)
        if not content.tables and not self._was_there:
            barred |= out_of_reach & {str(content.described["owner"])}
        owners = not missing and not barred
        with self._whole_or_gone(content, owners=owners) as database:
            with load.telling_missing(missing):
                self._restore(held, tools, content, database, owners=owners)
            if owners and (grants := grants_of(content.described, content.tables)):
                with connect(self._conninfo.changed(dbname=database)) as connection:
                    warnings += give_again(connection, grants)
            if not content.tables and not self._was_there:
                warnings += self._settle(content, database, owners=owners)
        if missing:
            names = ", ".join(missing[:5])
            told = Failed(
                "what was loaded belongs to the role that loaded it, without privileges: the "
                f"server has no role {names}",
                hint="Make the roles and set owners and privileges, or drop it, make them, and "
                "retry.",
            )
            warnings.append(told)
        elif barred:
            warnings.append(load.not_given(barred))
        return warnings

    def _settle(self, content: Content, database: str, *, owners: bool) -> list[VaultError]:
        with connect(self._conninfo) as connection:
            names = (database, self.database)
            described = content.described
            return load.settle_database(
                connection, names, content.settings, described, privileges=owners
            )

    def _restore(
        self, held: HeldLease, tools: Tools, content: Content, database: str, *, owners: bool
    ) -> None:
        jobs = 0 if content.tables or self._was_there else 1
        with client_of(self._conninfo) as client:
            there = self._conninfo.changed(dbname=database)
            reader = reading_money(client, there, tools, content.dump, MONEY_LOCALE)
            program = load.restore_database(
                tools, reader, database, content.dump, jobs=jobs, owners=owners
            )
            alone = load.telling_alone(database) if content.tables else nullcontext()
            with alone, program, held.when_stopped(program.kill):
                program.run(held.check)

    @contextmanager
    def _whole_or_gone(self, content: Content, *, owners: bool) -> Iterator[str]:
        """The database to load into."""
        if content.tables:
            with self._schemas_of(content.tables):
                yield self.database
            return
        if self._was_there:
            yield self.database
            return
        job, described = self._order.job_id, content.described
        owner = str(described["owner"]) if owners else ""
        made = new_database(self._conninfo, job, self.database, described, owner=owner)
        with made as working:
            yield working

    @contextmanager
    def _schemas_of(self, tables: Sequence[TableName]) -> Iterator[None]:
        """Within they are there; those that were made here go again on failure, being empty."""
        inside = self._conninfo.changed(dbname=self.database)
        with connect(inside) as connection:
            rows = connection.execute("select nspname from pg_catalog.pg_namespace").fetchall()
            made = sorted({table.schema for table in tables} - {name for (name,) in rows})
            for schema in made:
                connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        try:
            yield
        except BaseException:
            with suppress(SourceError), connect(inside) as connection:
                for schema in made:
                    connection.execute(sql.SQL("drop schema {}").format(sql.Identifier(schema)))
            raise
