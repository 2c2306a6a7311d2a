"""Dumps of a logical point as files: they are taken out of it as they are, no server is needed."""

from collections.abc import Iterable, Mapping
from typing import Any

from strongroom.agent.files.as_files import write_guide, write_guide_of_database
from strongroom.agent.files.dump_files import DumpFiles
from strongroom.agent.files.targets import Sink
from strongroom.agent.restore.logical_point import LogicalPoint, described
from strongroom.model.postgres import major_of
from strongroom.model.restore.dump_names import GLOBALS, database_file, globals_file
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import Progress
from strongroom.postgres.dump.dump_text import read_dump
from strongroom.postgres.dump.money import written_as
from strongroom.postgres.dump.roles_file import Cleaning, cleaned, roles_script, tablespaces_script
from strongroom.postgres.server.tools import find_tools


def leave(point: LogicalPoint, order: ExtractOrder, files: DumpFiles) -> None:
    """One database, or all and what they share. Raises NotFound, TargetError, StoreError."""
    parameters = point.parameters()
    if order.database:
        facts = described(parameters, order.database)
        what = f"{order.rename or order.database}.dump"
        _copy(point, facts, (what, f"database {order.database}"), files)
        money = written_as(parameters, order.database)
        write_guide_of_database(files, what, money, order.rename)
        return
    databases: Mapping[str, dict[str, Any]] = parameters["databases"]
    files.check_free([*map(database_file, databases), *map(globals_file, GLOBALS)])
    for name, facts in databases.items():
        _copy(point, facts, (database_file(name), f"database {name}"), files)
    _leave_globals(point, databases.values(), files)
    write_guide(files, list(databases), written_as(parameters))


def _copy(
    point: LogicalPoint, facts: Mapping[str, Any], what: tuple[str, str], files: DumpFiles
) -> None:
    path = str(facts["file"])
    progress = Progress(
        step="Writing",
        note=what[1],
        done_bytes=point.held.progress.done_bytes,
        total_bytes=point.held.progress.total_bytes + point.size(path),
    )
    point.held.tell(progress)

    def advance(count: int) -> None:
        progress.done_bytes += count

    def fill(sink: Sink) -> None:
        for piece in point.pieces(path, advance):
            sink(piece)

    files.put(*what, fill)


def _leave_globals(
    point: LogicalPoint, databases: Iterable[Mapping[str, Any]], files: DumpFiles
) -> None:
    text = point.globals()
    roles = cleaned(roles_script(text).encode(errors="surrogateescape"))
    files.put(globals_file("roles"), "roles", lambda sink: sink(roles))
    files.write(globals_file("tablespaces"), tablespaces_script(text), "tablespaces")

    def fill(sink: Sink) -> None:
        cleaning = Cleaning(sink)
        cleaning.feed(roles)
        for facts in databases:
            _define(point, str(facts["file"]), cleaning)
        cleaning.end()

    files.put(globals_file("schema"), "schema", fill)


def _define(point: LogicalPoint, path: str, cleaning: Cleaning) -> None:
    """The definitions of one database; of its dump hardly more than the beginning is read."""
    tools = find_tools(major_of(point.manifest.source.version_number), program="pg_restore")
    words = ["--schema-only", "--create", "--file=-"]
    read_dump(tools, words, point.pieces(path, lambda _count: None), cleaning.feed)
