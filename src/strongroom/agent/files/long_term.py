"""A running server as files in somebody's container: what a restore as files leaves there."""

from collections.abc import Callable
from contextlib import closing
from functools import partial

from strongroom.agent.files.as_files import write_guide
from strongroom.agent.files.azure_target import AzureTarget
from strongroom.agent.files.dump_files import DumpFiles, DumpManifest
from strongroom.agent.files.targets import PIECE, Sink
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import Invalid
from strongroom.model.restore.dump_names import GLOBALS, database_file, globals_file
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import Completion, Progress, RestoreResult
from strongroom.postgres.dump.dump import (
    Survey,
    dump_database,
    dump_definitions,
    dump_globals,
    dump_tools,
    survey,
    warnings_of,
)
from strongroom.postgres.dump.money import written_as
from strongroom.postgres.dump.roles_file import Cleaning, cleaned, roles_script, tablespaces_script
from strongroom.postgres.server.client import Client, Program, client_of
from strongroom.postgres.server.tools import Tools


def dump_out(held: HeldLease, book: ServerBook, clock: Clock, chance: Chance) -> Completion:
    """The whole story. A second attempt goes on, or reports what the first one finished.

    Raises SourceError, ToolsMissing, StoreError, TargetError, LeaseLost, Cancelled.
    """
    order = held.lease.long_term
    if order is None:
        raise Invalid("not an order for a long-term backup")
    conninfo = book.conninfo(order.server)
    held.tell(Progress(step="Connecting"))
    found = survey(conninfo)
    found.may_read_passwords = False  # none of them leaves the server
    manifest = DumpManifest(
        job=order.job_id,
        recovery_point=order.backup_name,
        taken_at=clock.now().format_iso(),
        source_version=found.version_number,
    )
    with (
        client_of(conninfo) as client,
        closing(AzureTarget(held, order.target_url, order.job_id, chance)) as target,
    ):
        files = DumpFiles(target, manifest, order.backup_name)
        result = files.finished()
        if result is None:
            files.claim()
            result = _Dumping(held, dump_tools(found.version_number), client, found).into(files)
    return Completion(epoch=held.lease.epoch, restore=result)


class _Dumping:
    def __init__(self, held: HeldLease, tools: Tools, client: Client, found: Survey) -> None:
        self._held, self._tools, self._client, self._found = held, tools, client, found
        self._progress = Progress(step="Dumping", total_bytes=sum(found.databases.values()))

    def into(self, files: DumpFiles) -> RestoreResult:
        """Each database, then what they share."""
        databases = list(self._found.databases)
        names = [*map(database_file, databases), *map(globals_file, GLOBALS)]
        files.check_free(names)
        for name in databases:
            self._progress.note = name
            what = f"database {name}"
            files.put(database_file(name), what, partial(self._database, name))
        self._globals(files)
        write_guide(files, databases, written_as(self._found.parameters))
        place = files.target.place
        nothing = RestoreResult(directory=place, files=0, written_bytes=0, fetched_bytes=0)
        nothing.warnings = [warning.to_dict() for warning in warnings_of(self._found)]
        return files.finish(nothing)

    def _database(self, name: str, sink: Sink) -> None:
        self._run(dump_database(self._tools, self._client, name, self._found, level=1), sink)

    def _globals(self, files: DumpFiles) -> None:
        text = bytearray()
        self._run(dump_globals(self._tools, self._client, self._found), text.extend)
        sql = bytes(text).decode(errors="surrogateescape")
        roles = cleaned(roles_script(sql).encode(errors="surrogateescape"))
        files.put(globals_file("roles"), "roles", lambda sink: sink(roles))
        files.write(globals_file("tablespaces"), tablespaces_script(sql), "tablespaces")

        def fill(sink: Sink) -> None:
            cleaning = Cleaning(sink)
            cleaning.feed(roles)
            for name in self._found.databases:
                self._run(
                    dump_definitions(self._tools, self._client, name, self._found), cleaning.feed
                )
            cleaning.end()

        files.put(globals_file("schema"), "schema", fill)

    def _run(self, program: Program, write: Callable[[bytes], object]) -> None:
        """To its end: half a dump is none."""
        with program, self._held.when_stopped(program.kill):
            for piece in program.pieces(PIECE):
                self._held.check()
                write(piece)
                self._progress.done_bytes += len(piece)
                self._held.tell(self._progress)
            self._held.check()
            program.finish()
