"""One database, one table, or all as files, out of a recovery point.

Of a physical one a scratch server recovers from the few files that this takes; of a logical one
the dumps are there already, and only for one table a scratch server takes its rows. PostgreSQL's
own pg_dump reads it.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.agent.access import OpenContainer
from strongroom.agent.files import as_files, logical_files
from strongroom.agent.files.dump_files import DumpFiles, DumpManifest
from strongroom.agent.files.places import open_target
from strongroom.agent.files.targets import Bytes
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore.data_directory import Grounds
from strongroom.agent.restore.into_server import Content, IntoServer
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.logical_point import LogicalPoint, is_logical
from strongroom.agent.restore.point_keys import PointKeys, open_manifest
from strongroom.agent.scratch.part import SCRATCH, Part, scratch_server
from strongroom.agent.scratch.table import TableOfDump
from strongroom.agent.servers import ServerBook
from strongroom.agent.wal.log import WalLog
from strongroom.datastore.maps.manifest import Manifest
from strongroom.model.errors import Failed, Invalid, TargetRefused, VaultError
from strongroom.model.first_few import first_few
from strongroom.model.postgres import major_of
from strongroom.model.restore.dump_names import GUIDE
from strongroom.model.seams import Chance
from strongroom.model.work.extract import ExtractOrder, TableName, read_table
from strongroom.model.work.operation import Completion, RestoreResult
from strongroom.postgres.part.scratch_dump import dump_to
from strongroom.postgres.part.scratch_server import MONEY_LOCALE, ScratchServer
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import find_tools


def extract(
    held: HeldLease,
    grounds: Grounds,
    book: ServerBook,
    open_container: OpenContainer,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. A second attempt starts over, goes on, or reports what the first finished.

    Raises NotFound, TargetError, StoreError (Corrupt and WrongKey among them), LeaseLost,
    Cancelled.
    """
    part = _begin(held, open_container, chance, share)
    if part.order.target_server:
        result = _into_server(part, grounds, book)
    else:
        with open_target(held, part.order, grounds, chance) as target:
            files = DumpFiles(target, _manifest(part), part.order.file_prefix)
            result = _as_files(part, files, grounds)
    return Completion(epoch=held.lease.epoch, restore=result)


@dataclass(slots=True)
class _Source:
    """A point of either kind."""

    physical: Part
    logical: LogicalPoint | None = None
    warnings: list[VaultError] = field(default_factory=list)

    @property
    def held(self) -> HeldLease:
        return self.physical.held

    @property
    def order(self) -> ExtractOrder:
        return self.physical.order

    @property
    def fetched(self) -> int:
        return self.physical.fetched if self.logical is None else self.logical.fetched

    @property
    def version(self) -> int:
        return self.physical.manifest.source.version_number

    @contextmanager
    def server(self, place: Path) -> Iterator[ScratchServer]:
        if self.logical is None:
            with scratch_server(self.physical, place) as server:
                yield server
            return
        of_dump = TableOfDump(self.logical, self.order)
        with of_dump.server(place) as server:
            self.warnings += of_dump.warnings
            yield server


def _begin(
    held: HeldLease, open_container: OpenContainer, chance: Chance, share: Share
) -> _Source:
    order = held.lease.extract
    if order is None:
        raise Invalid("not an order to extract")
    blobs = open_container(held, "read")
    keys = PointKeys(held, chance)
    named = order.manifest_name, order.recovery_point_id
    manifest = open_manifest(*named, blobs, keys, in_part=True)
    _need_tools(order, manifest)
    part = Part(held, order, manifest, blobs, keys, share.workers)
    if order.recovery is not None:
        part.log = WalLog(held, order.recovery, blobs, chance)
    if not is_logical(manifest):
        return _Source(part)
    if order.target_server and not order.table:
        raise TargetRefused("a database of a logical point is loaded as it is: strongroom load")
    keys.need(pack.id for pack in manifest.packs)
    return _Source(part, LogicalPoint(held, manifest, blobs, keys.packs, share))


def _need_tools(order: ExtractOrder, manifest: Manifest) -> None:
    """What would fail at the end fails now: dumps as they are need no server's programs."""
    as_they_are = is_logical(manifest) and not order.table
    find_tools(
        major_of(manifest.source.version_number),
        program="pg_restore" if as_they_are else "postgres",
    )


def _manifest(source: _Source) -> DumpManifest:
    facts = source.physical.manifest.facts
    return DumpManifest(
        job=source.order.job_id,
        recovery_point=facts.recovery_point_id,
        taken_at=facts.taken_at,
        source_version=source.version,
    )


def _as_files(source: _Source, files: DumpFiles, grounds: Grounds) -> RestoreResult:
    result = files.finished()
    if result is not None:
        return result
    files.claim()
    if source.logical is not None and not source.order.table:
        logical_files.leave(source.logical, source.order, files)
    else:
        with _place_for(files, grounds.journal) as place, source.server(place) as server:
            _dump(source, server, files)
    place_of = files.target.place
    return files.finish(
        RestoreResult(
            directory=place_of,
            files=0,
            written_bytes=0,
            fetched_bytes=source.fetched,
            next_steps=[f"Read {shlex.quote(files.name(GUIDE))} in {place_of}: how to load them."],
            warnings=[warning.to_dict() for warning in source.warnings],
        )
    )


@contextmanager
def _place_for(files: DumpFiles, journal: RestoreJournal) -> Iterator[Path]:
    """For a scratch server: beside the files where those lie on this host."""
    directory = files.target.directory
    if directory is None:
        with scratch.scratch_directory() as place, journal.noted(place):
            yield place
        return
    with journal.noted(directory / SCRATCH):
        yield directory


def _into_server(source: _Source, grounds: Grounds, book: ServerBook) -> RestoreResult:
    operation_id = source.held.lease.operation_id
    done = grounds.journal.find(operation_id)
    if done is not None:
        return done
    order = source.order
    target = IntoServer(order, book.conninfo(order.target_server), source.version)
    if target.check():
        nothing_more = RestoreResult(directory="", files=1, written_bytes=0, fetched_bytes=0)
        return _kept(grounds.journal, operation_id, nothing_more)
    noted = grounds.journal.noted
    with scratch.scratch_directory() as place, noted(place), source.server(place) as server:
        database, tables = _chosen(order, server)
        _warn_of_rows(source, server, database, tables)
        dump = place / "part.dump"
        size = _dump_locally(source.held, server, database, tables, dump)
        source.held.next_step("Loading")
        content = Content(
            dump,
            tables,
            server.roles_of(database),
            server.describe(database),
            server.settings_of(database),
        )
        warnings = [*source.warnings, *target.load(source.held, content)]
    result = RestoreResult(
        directory="",
        files=1,
        written_bytes=size,
        fetched_bytes=source.fetched,
        warnings=[warning.to_dict() for warning in warnings],
    )
    return _kept(grounds.journal, operation_id, result)


def _kept(journal: RestoreJournal, operation_id: str, result: RestoreResult) -> RestoreResult:
    journal.keep(operation_id, result)
    return result


def _dump_locally(
    held: HeldLease, server: ScratchServer, database: str, tables: list[TableName], dump: Path
) -> int:
    with dump.open("xb") as file:

        def write(piece: Bytes) -> None:
            held.check()
            file.write(piece)

        dump_to(server, database, "pg_dump", ["-Fc", "-Z1", *_words(tables)], write)
        return file.tell()


def _dump(source: _Source, server: ScratchServer, files: DumpFiles) -> None:
    held = source.held
    if not source.order.database:
        as_files.dump_all(held, server, files)
        return
    database, tables = _chosen(source.order, server)
    _warn_of_rows(source, server, database, tables)
    held.next_step("Dumping")
    if not tables:
        what = (f"{database}.dump", f"database {database}")
        as_files.dump_database(held, server, database, what, files)
        as_files.write_guide_of_database(files, what[0], MONEY_LOCALE)
        return
    what = (f"{database}.{tables[0]}.dump", f"table {tables[0]} of {database}")
    as_files.dump_database(held, server, database, what, files, _words(tables))
    as_files.write_guide_of_table(files, what[0], server.parents(database, tables[0]))


def _warn_of_rows(
    source: _Source, server: ScratchServer, database: str, tables: list[TableName]
) -> None:
    """Whoever asked for a table by name, or for its database, expects its rows."""
    views, unlogged = server.without_rows(database, tables)
    if views:
        source.warnings.append(
            Failed(
                f"{_shown(views)} is a materialized view: loading it makes its rows anew",
                hint="Load it where its tables are, or restore all of it as a server: --to-dir.",
            )
        )
    if unlogged and source.logical is None:
        source.warnings.append(
            Failed(
                f"{_shown(unlogged)} {'is' if len(unlogged) == 1 else 'are'} unlogged: "
                "a copy of a server holds no rows of such a table",
                hint="Only a logical point has them: strongroom points NAME.",
            )
        )


def _shown(tables: list[TableName]) -> str:
    return first_few([str(table) for table in tables])


def _chosen(order: ExtractOrder, server: ScratchServer) -> tuple[str, list[TableName]]:
    """The database, and its tables if just some are wanted: by the names that they shall have."""
    table = read_table(order.table) if order.table else None
    tables = [] if table is None else server.tables(order.database, table)
    return _rename(order, server, tables) if order.rename else (order.database, tables)


def _rename(
    order: ExtractOrder, server: ScratchServer, tables: list[TableName]
) -> tuple[str, list[TableName]]:
    """In the scratch server, which is ours: a dump then speaks of the new names alone."""
    if not tables:
        server.rename_database(order.database, order.rename)
        return order.rename, []
    new = read_table(order.rename)
    return order.database, server.rename_tables(order.database, tables, new)


def _words(tables: list[TableName]) -> list[str]:
    return [f"--table={_pattern(each)}" for each in tables]


def _pattern(table: TableName) -> str:
    """pg_dump's pattern that fits one table alone."""
    quoted = (part.replace('"', '""') for part in (table.schema, table.name))
    return ".".join(f'"{part}"' for part in quoted)
