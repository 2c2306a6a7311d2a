"""The part of a recovery point that a scratch server needs, fetched and recovered.

Fetched in steps, for each names the files of the next: what every server needs, the list of
relations, the catalogues, the table. Then the recovered server is asked what it needs indeed; what
was missed (a race between the copy and a change of the catalogue) is fetched into a new one.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import restored_file
from strongroom.agent.restore.point_keys import PointKeys
from strongroom.agent.restore.start_restored import major_in
from strongroom.agent.wal.log import WalLog
from strongroom.datastore.maps.manifest import Manifest
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.reading.reader import read_files, rows_by_pack
from strongroom.model.errors import Precondition
from strongroom.model.postgres import major_of
from strongroom.model.work.extract import ExtractOrder, TableName, read_table
from strongroom.postgres.part.needed_files import NeededFiles, place_of
from strongroom.postgres.part.recovered import recovered
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.restore.layout import HOLDS_BYTES
from strongroom.postgres.restore.restore import RestoreTarget
from strongroom.postgres.restore.wal_recovery import LogPlace, await_recovered, settings_of
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import find_tools

_ROUNDS = 3
SCRATCH = "strongroom-scratch"


@dataclass(slots=True)
class Part:
    """What is asked of one point, and what it has cost so far."""

    held: HeldLease
    order: ExtractOrder
    manifest: Manifest
    blobs: Blobs
    keys: PointKeys
    workers: int
    whole: bool = False  # for who looks at indexes, too
    fetched: int = 0
    written: int = 0
    missed: set[int] = field(default_factory=set)  # files that a guess lacked
    log: WalLog | None = None  # beyond the point's own end

    @property
    def table(self) -> TableName | None:
        """None: a whole database, or all of them."""
        return read_table(self.order.table) if self.order.table else None


@contextmanager
def scratch_server(part: Part, place: Path) -> Iterator[ScratchServer]:
    """Within: a server below `place`, in a directory of its own, that holds what is asked.

    Raises NotFound for a database or table that the point does not have, Corrupt, TargetError.
    """
    for _ in range(_ROUNDS):
        with scratch_home(place) as home, scratch.scratch_directory() as sockets:
            directory = home / "data"
            give_to_owner_of(home, sockets)
            chosen, superuser = fetch(part, directory, home)
            part.held.next_step("Starting")
            tools = find_tools(major_of(part.manifest.source.version_number))
            alone = part.table is not None and part.log is None
            server = ScratchServer(tools, directory, sockets, superuser)
            with (
                _served(part, directory) as settings,
                recovered(server, settings, for_a_table=alone),
            ):
                if part.log is not None:
                    await_recovered(directory, part.held.pause)
                with server.connected(part.order.database) if part.table else nullcontext():
                    missing = _missing(part, server, chosen)
                    if not missing:
                        yield server
                        return
                part.missed |= missing
    raise Precondition(
        "what the recovery point's catalogues name could not be found in it",
        hint="Restore all of it with --to-dir, and verify this recovery point.",
    )


@contextmanager
def _served(part: Part, directory: Path) -> Iterator[dict[str, str]]:
    """Within: the server finds the log beyond the point's end, by these settings."""
    recovery = part.order.recovery
    if part.log is None or recovery is None:
        yield {}
        return
    LogPlace(directory, lasting=False).lay(recovery, configure=False)
    with part.log.served(directory):
        yield settings_of(recovery, major_in(directory))


@contextmanager
def scratch_home(place: Path) -> Iterator[Path]:
    """A directory for the server's user that is gone afterwards; what a killed try left goes."""
    home = place / SCRATCH
    remove_scratch(home)
    home.mkdir(mode=0o700, parents=True)
    give_to_owner_of(place, home)
    try:
        yield home
    finally:
        remove_scratch(home)


def give_to_owner_of(place: Path, directory: Path) -> None:
    """For root: to the user that a server in `place` runs as."""
    user = scratch.server_user(place)
    if scratch.drop_to(user):
        shutil.chown(directory, user.uid, user.gid)


def remove_scratch(home: Path) -> None:
    """A directory of ours, with the server that may run in it still, and with its socket's."""
    for data in (home / "data", home / SCRATCH / "data"):
        if (data / "postmaster.pid").exists():
            tools = find_tools(int((data / "PG_VERSION").read_text()))
            if scratch.is_running(tools, data):
                sockets = scratch.running(data).socket_directory
                scratch.stop(tools, data, "immediate")
                if sockets.name.startswith(scratch.PREFIX):
                    shutil.rmtree(sockets, ignore_errors=True)
    if home.exists():
        shutil.rmtree(home)


def fetch(part: Part, directory: Path, home: Path) -> tuple[set[int], str]:
    """Write what is needed -> the files that are there in full, and who may log in."""
    files = [restored_file(file) for file in part.manifest.files]
    spaces = {f.link: str(home / f"space-{n}") for n, f in enumerate(files) if f.kind == "link"}
    target = RestoreTarget(directory, spaces, part.order.job_id)
    try:
        target.prepare(files, in_part=True)
        needed = NeededFiles(files, major_of(part.manifest.source.version_number), target.pages)
        chosen = part.missed & set(range(len(files)))
        _read(part, target, chosen)
        for more in _steps(part, needed):
            _read(part, target, more - chosen)
            chosen |= more
        superuser = needed.superuser()
        part.held.next_step("Verifying")
        target.finish(
            part.manifest.pg_manifest, {}, watch=lambda _: part.held.check(), only=chosen
        )
        target.drop_marker()
        return chosen, superuser
    finally:
        target.close()


def _steps(part: Part, needed: NeededFiles) -> Iterator[set[int]]:
    """Sets of files. Who asks for the next one has fetched those before: they name its files."""
    yield needed.everywhere()
    if part.whole:
        yield {i for i, file in enumerate(part.manifest.files) if file.kind in HOLDS_BYTES}
        return
    wanted = part.order.database
    databases = [needed.database(wanted)] if wanted else needed.every_database()
    yield set().union(*map(needed.map_of_classes, databases))
    yield set().union(*map(needed.catalogues, databases))
    if part.table is not None:
        yield needed.table(databases[0], part.table.schema, part.table.name)
    else:
        yield set().union(*map(needed.whole, databases))


def _read(part: Part, target: RestoreTarget, select: set[int]) -> None:
    held = part.held
    size = sum(part.manifest.files[index].size for index in select)
    target.check_room(size)
    target.make(select)
    progress = held.next_step("Writing", total_bytes=held.progress.done_bytes + size)

    def write(index: int, offset: int, data: memoryview) -> None:
        held.check()
        target.write(index, offset, data)

    def advance(raw: int, stored: int) -> None:
        held.check()
        progress.done_bytes += raw
        progress.stored_bytes += stored

    if select:
        if len(part.keys.packs) < len(part.manifest.packs):
            rows = rows_by_pack(part.manifest.all_extents(), select)
            part.keys.need(part.manifest.packs[index].id for index in rows)
        part.fetched += read_files(
            part.manifest,
            part.blobs,
            part.keys.packs,
            write,
            select=select,
            workers=part.workers,
            on_progress=advance,
        )
    part.written += size


def _missing(part: Part, server: ScratchServer, chosen: set[int]) -> set[int]:
    """Files of the point that the recovered server needs and that were not fetched."""
    places = {
        index: (place.database, place.file)
        for index, file in enumerate(part.manifest.files)
        if file.kind in HOLDS_BYTES
        and (place := place_of(file.path)) is not None
        and place.is_needed
    }
    if part.table is None:  # before a damaged catalogue is asked anything
        server.check_recovered({places[index] for index in chosen & places.keys()})
    wanted = part.order.database
    named = [wanted] if wanted else server.databases()
    needed = set().union(*(server.files_of(database, part.table) for database in named))
    missing = {index for index, place in places.items() if place in needed} - chosen
    if part.table is not None and not missing:
        server.check_recovered(needed)
    return missing
