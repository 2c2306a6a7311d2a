"""One table out of a logical point: a new scratch server takes the database's definitions and the
rows of that table, so that it can be renamed and dumped by itself.

Definitions come first, constraints and indexes among them, while every table is empty: a foreign
key to a table whose rows are not wanted holds then, and stays part of the dump.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.agent.restore.logical_point import LogicalPoint, described
from strongroom.agent.scratch.part import give_to_owner_of, scratch_home
from strongroom.model.errors import Failed, NotFound, TargetError, VaultError
from strongroom.model.postgres import major_of
from strongroom.model.work.extract import ExtractOrder, TableName, read_table
from strongroom.model.work.operation import Progress
from strongroom.postgres.dump import load
from strongroom.postgres.dump.dump_text import read_dump
from strongroom.postgres.part.recovered import recovered
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import find_tools

_SUPERUSER = "postgres"


@dataclass(slots=True)
class TableOfDump:
    """What is asked of a logical point, and what was met on the way."""

    point: LogicalPoint
    order: ExtractOrder
    warnings: list[VaultError] = field(default_factory=list)

    @contextmanager
    def server(self, place: Path) -> Iterator[ScratchServer]:
        """Within: a server below `place`, in a directory of its own, that holds the table.

        Raises NotFound, TargetError.
        """
        order, held = self.order, self.point.held
        facts = described(self.point.parameters(), order.database)
        tools = find_tools(major_of(self.point.manifest.source.version_number))
        held.next_step("Starting")
        with scratch_home(place) as home, scratch.scratch_directory() as sockets:
            data = home / "data"
            data.mkdir(mode=0o700)
            give_to_owner_of(home, data)
            give_to_owner_of(home, sockets)
            scratch.initialise(tools, data, "--no-sync")
            with recovered(ScratchServer(tools, data, sockets, _SUPERUSER)) as server:
                self._define(server, facts)
                self._fill(server, str(facts["file"]), home)
                yield server

    def _define(self, server: ScratchServer, facts: dict[str, str]) -> None:
        """Roles, the database, and every definition in it."""
        with server.connect(server.any_database()) as connection:
            load.make_roles(connection, self.point.globals())
            if self.order.database not in load.databases_of(connection):
                load.create_database(connection, self.order.database, facts)
        complaints = self._run(server, str(facts["file"]), ["--schema-only"], lenient=True)
        errors = [line for line in complaints if "error:" in line]
        if errors:
            self.warnings.append(
                Failed(
                    f"{len(errors)} definitions of {self.order.database} could not be made on the "
                    f"agent's host: {errors[0][:300]}",
                    hint="See whether the table needs them; loading the whole database does not "
                    "depend on what the agent's host has: strongroom load.",
                )
            )

    def _fill(self, server: ScratchServer, file: str, place: Path) -> None:
        table = read_table(self.order.table)
        try:
            tables = server.tables(self.order.database, table)
        except NotFound:
            if self.warnings:
                raise TargetError(self.warnings[0].message, hint=self.warnings[0].hint) from None
            raise
        listed = bytearray()
        self._read(server, file, ["--list"], listed.extend)
        wanted = _rows_of(tables, server.sequences(self.order.database, tables))
        chosen = [line for line in listed.decode().splitlines() if _is_one_of(line, wanted)]
        if not chosen:
            return
        path = place / "list"
        path.write_text("\n".join(chosen) + "\n")
        path.chmod(0o644)
        words = ["--data-only", "--disable-triggers", "--exit-on-error", f"--use-list={path}"]
        self._run(server, file, words, lenient=False)

    def _run(
        self, server: ScratchServer, file: str, words: list[str], *, lenient: bool
    ) -> list[str]:
        into = ["--no-tablespaces", "--no-subscriptions", f"--dbname={self.order.database}"]
        return self._read(server, file, [*into, *words], lambda _: None, lenient=lenient)

    def _read(
        self,
        server: ScratchServer,
        file: str,
        words: list[str],
        write: Callable[[bytes], None],
        *,
        lenient: bool = False,
    ) -> list[str]:
        progress = Progress(step="Fetching", total_bytes=self.point.size(file))
        self.point.held.tell(progress)

        def advance(count: int) -> None:
            progress.done_bytes += count

        return read_dump(
            server.tools,
            words,
            self.point.pieces(file, advance),
            write,
            user=scratch.server_user(server.directory),
            environment=server.environment(self.order.database),
            lenient=lenient,
        )


def _rows_of(tables: list[TableName], sequences: list[TableName]) -> list[str]:
    """How the list names their contents, the owner's name left out."""
    rows = [f" TABLE DATA {table.schema} {table.name} " for table in tables]
    return rows + [f" SEQUENCE SET {each.schema} {each.name} " for each in sequences]


def _is_one_of(line: str, wanted: list[str]) -> bool:
    """A line of pg_restore's list. Where names hold spaces one more than is wanted may be taken,
    which is dumped no more than the others are.
    """
    return not line.startswith(";") and any(each in line for each in wanted)
