"""One database, one table, or all as files, out of a physical recovery point.

A scratch server recovers from the few files that this takes; PostgreSQL's own pg_dump reads it.
"""

import shlex
from collections.abc import Callable
from pathlib import Path

from strongroom.agent.access import OpenContainer
from strongroom.agent.as_files import dump_all
from strongroom.agent.dump_directory import DumpDirectory, DumpManifest, file_name
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.into_server import Content, IntoServer
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore import Grounds, ask_keys, open_manifest
from strongroom.agent.scratch_part import Part, scratch_server
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import Invalid
from strongroom.model.extract import ExtractOrder, TableName, read_table
from strongroom.model.operation import Completion, RestoreResult
from strongroom.model.postgres import major_of
from strongroom.model.seams import Chance
from strongroom.postgres import scratch
from strongroom.postgres.extract import ScratchServer
from strongroom.postgres.scratch_dump import Dumped, dump_to_file
from strongroom.postgres.tools import find_tools


def extract(
    held: HeldLease,
    grounds: Grounds,
    book: ServerBook,
    open_container: OpenContainer,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. A second attempt starts over, or reports what the first one finished.

    Raises NotFound, TargetError, StoreError (Corrupt and WrongKey among them), LeaseLost,
    Cancelled.
    """
    part = _begin(held, open_container, chance, share)
    if part.order.target_server:
        result = _into_server(part, grounds, book)
    else:
        result = _into_directory(part, grounds)
    return Completion(epoch=held.lease.epoch, restore=result)


def _into_directory(part: Part, grounds: Grounds) -> RestoreResult:
    directory = grounds.allow(part.order.target_directory)
    facts, source = part.manifest.facts, part.manifest.source
    dumps = DumpDirectory(
        directory,
        DumpManifest(
            job=part.order.job_id,
            recovery_point=facts.recovery_point_id,
            taken_at=facts.taken_at,
            source_version=source.version_number,
        ),
    )
    result = dumps.finished()
    if result is not None:
        return result
    dumps.claim()
    with scratch_server(part, directory) as server:
        _dump(part, server, dumps)
    return dumps.finish(_result(part, directory))


def _into_server(part: Part, grounds: Grounds, book: ServerBook) -> RestoreResult:
    operation_id = part.held.lease.operation_id
    done = grounds.journal.find(operation_id)
    if done is not None:
        return done
    order, version = part.order, part.manifest.source.version_number
    target = IntoServer(order, book.conninfo(order.target_server), version)
    target.check()
    with scratch.scratch_directory() as place, scratch_server(part, place) as server:
        database, tables = _chosen(part, server)
        dump = place / "part.dump"
        dumped = _dump_one(part, server, database, tables, dump)
        part.held.next_step("Loading")
        content = Content(dump, tables, server.roles_of(database), server.describe(database))
        warnings = target.load(part.held, content)
    result = RestoreResult(
        directory="",
        files=1,
        written_bytes=dumped.size,
        fetched_bytes=part.fetched,
        warnings=[warning.to_dict() for warning in warnings],
    )
    grounds.journal.keep(operation_id, result)
    return result


def _begin(held: HeldLease, open_container: OpenContainer, chance: Chance, share: Share) -> Part:
    order = held.lease.extract
    if order is None:
        raise Invalid("not an order to extract")
    blobs = open_container(held, "read")
    keys = ask_keys(held, chance)
    manifest = open_manifest(order.manifest_name, order.recovery_point_id, blobs, keys)
    find_tools(major_of(manifest.source.version_number))  # what would fail at the end fails now
    return Part(held, order, manifest, blobs, keys.packs, share.workers)


def _dump(part: Part, server: ScratchServer, dumps: DumpDirectory) -> None:
    if not part.order.database:
        dump_all(part.held, server, dumps, part.order.file_prefix, _watch(part.held))
        return
    database, tables = _chosen(part, server)
    name, holds = f"{database}.dump", f"database {database}"
    if tables:
        name, holds = f"{database}.{tables[0]}.dump", f"table {tables[0]} of {database}"
    dumps.add(_dump_one(part, server, database, tables, dumps.path / file_name(name)), holds)


def _chosen(part: Part, server: ScratchServer) -> tuple[str, list[TableName]]:
    """The database, and its tables if just some are wanted: by the names that they shall have."""
    database, table = part.order.database, part.table
    tables = [] if table is None else server.tables(database, table)
    return _rename(part.order, server, tables) if part.order.rename else (database, tables)


def _dump_one(
    part: Part, server: ScratchServer, database: str, tables: list[TableName], path: Path
) -> Dumped:
    part.held.next_step("Dumping")
    words = ["-Fc", "-Z1", *(f"--table={_pattern(each)}" for each in tables)]
    return dump_to_file(server, database, "pg_dump", words, path, _watch(part.held))


def _watch(held: HeldLease) -> Callable[[int], None]:
    def watch(count: int) -> None:
        del count
        held.check()

    return watch


def _rename(
    order: ExtractOrder, server: ScratchServer, tables: list[TableName]
) -> tuple[str, list[TableName]]:
    """In the scratch server, which is ours: a dump then speaks of the new names alone."""
    if not tables:
        server.rename_database(order.database, order.rename)
        return order.rename, []
    new = read_table(order.rename)
    server.rename_table(order.database, tables[0], new)
    return order.database, [new, *tables[1:]]


def _pattern(table: TableName) -> str:
    """pg_dump's pattern that fits one table alone."""
    quoted = (part.replace('"', '""') for part in (table.schema, table.name))
    return ".".join(f'"{part}"' for part in quoted)


def _result(part: Part, directory: Path) -> RestoreResult:
    return RestoreResult(
        directory=str(directory),
        files=0,
        written_bytes=0,
        fetched_bytes=part.fetched,
        next_steps=_next_steps(part, shlex.quote(str(directory))),
    )


def _next_steps(part: Part, place: str) -> list[str]:
    if not part.order.database:
        return [f"Read {place}/RESTORE.md: it says how these files are loaded."]
    major = major_of(part.manifest.source.version_number)
    program = shlex.quote(str(find_tools(major).program("pg_restore")))
    create = "" if part.order.table else " --create"
    return [
        f"cd {place} && sha256sum -c SHA256SUMS",
        f"{program}{create} --dbname=postgres {place}/*.dump",
    ]
