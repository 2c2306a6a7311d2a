"""The throw-away server of a drill: all of a recovery point, in a scratch directory of this host.

A socket in a private directory is its only door; it archives nothing, follows nobody, starts no
worker, and its tablespaces lie beside it, never where the source has its own. When it does not
start, it is found out whose fault that is: the point's, or this host's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.agent.restore.logical_point import LogicalPoint
from strongroom.agent.scratch.part import Part, fetch, scratch_home
from strongroom.datastore.maps.manifest import Manifest
from strongroom.model.errors import (
    Corrupt,
    TargetError,
    TargetFull,
    TargetRefused,
    ToolsMissing,
    VaultError,
)
from strongroom.model.postgres import NEWEST_MAJOR, major_of
from strongroom.postgres.dump import load
from strongroom.postgres.dump.dump_text import read_dump
from strongroom.postgres.part.recovered import recovered
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.restore.restored_settings import libraries_of
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import Tools, find_tools

# Strict where the part of a point is not, and with no worker that could act or call out.
STRICT = {
    "ignore_invalid_pages": "off",
    "max_worker_processes": "0",
    "max_parallel_workers_per_gather": "0",
    "maintenance_work_mem": "128MB",
}
RECOVERY_SECONDS = 43_200
_SUPERUSER = "postgres"
_NO_ROOM = ("No space left on device", "could not extend file", "out of memory")
_NEEDS_MORE = ("is not available", "could not open extension control file", "could not connect to")


@dataclass(frozen=True, slots=True)
class Places:
    """Short-lived directories that the server's user may write: for data, and for the socket."""

    home: Path
    sockets: Path


@dataclass(slots=True)
class Made:
    """What was met while the server was made; `now` is a clock's, in seconds."""

    now: Callable[[], float]
    written: int = 0
    fetched: int = 0
    warnings: list[VaultError] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)  # databases that are not here, or in part
    problems: list[str] = field(default_factory=list)
    restored_at: float = 0.0


@contextmanager
def physical_server(part: Part, places: Places, made: Made) -> Iterator[ScratchServer]:
    """Within: the whole point runs.

    Raises Corrupt when the point does not recover, ToolsMissing and TargetError when this host is
    why, StoreError for what cannot be read now.
    """
    tools = find_tools(major_of(part.manifest.source.version_number))
    with scratch_home(places.home) as home:
        _, superuser = fetch(part, home / "data", home)
        made.restored_at = made.now()
        made.written, made.fetched = part.written, part.fetched
        libraries = libraries_of(home / "data")
        part.held.next_step("Recovering")
        with ExitStack() as stack:
            yield _started(stack, tools, home, places.sockets, superuser, libraries)


def _started(
    stack: ExitStack, tools: Tools, home: Path, sockets: Path, user: str, libraries: list[str]
) -> ScratchServer:
    """Without any library first; then with those of the source that this host has."""
    directory = home / "data"
    try:
        return stack.enter_context(_recovered(tools, directory, sockets, user))
    except TargetError as error:
        failure = error
    here = [name for name in libraries if _has_library(tools, name)]
    if here:
        try:
            return stack.enter_context(_recovered(tools, directory, sockets, user, here))
        except TargetError as error:
            failure = error
    lacking = sorted(set(libraries) - set(here))
    if lacking:
        raise ToolsMissing(
            f"PostgreSQL does not start from this point without {', '.join(lacking)}: "
            f"{failure.message}",
            hint="Install what the source preloads on the agent's host, and drill again.",
        ) from failure
    _see_that_this_host_can(tools, home / "other", sockets)
    raise Corrupt(failure.message, hint="Drill an older point, and verify this one.") from failure


def _recovered(
    tools: Tools, directory: Path, sockets: Path, user: str, libraries: Sequence[str] = ()
) -> AbstractContextManager[ScratchServer]:
    """It may take as long as recovery takes: what is slow is not wrong."""
    settings = {**STRICT, "shared_preload_libraries": ",".join(libraries)}
    server = ScratchServer(tools, directory, sockets, user)
    return recovered(server, settings, seconds=RECOVERY_SECONDS)


def _has_library(tools: Tools, name: str) -> bool:
    base = tools.directory.parent / "lib"
    file = f"{name.rpartition('/')[2].removesuffix('.so')}.so"
    return (base / file).is_file() or (base / "postgresql" / file).is_file()


def _see_that_this_host_can(tools: Tools, directory: Path, sockets: Path) -> None:
    """A server of nothing starts here with the same settings. Raises TargetError otherwise."""
    scratch.initialise(tools, directory, "--no-sync")
    with _recovered(tools, directory, sockets, _SUPERUSER):
        return


@contextmanager
def logical_server(point: LogicalPoint, places: Places, made: Made) -> Iterator[ScratchServer]:
    """Within: a new server holds every database of the point's dumps.

    What pg_restore refuses is a problem in `made`, or a warning where this host lacks something.
    Raises ToolsMissing, TargetError, StoreError.
    """
    tools = _same_or_newer(point.manifest)
    with scratch_home(places.home) as home:
        point.held.next_step("Starting")
        scratch.initialise(tools, home / "data", "--no-sync")
        with _recovered(tools, home / "data", places.sockets, _SUPERUSER) as server:
            _fill(point, server, made)
            made.fetched = point.fetched
            yield server


def _same_or_newer(manifest: Manifest) -> Tools:
    """Programs of the dump's own major, or of the next one that is here."""
    major = major_of(manifest.source.version_number)
    for each in range(major, NEWEST_MAJOR + 1):
        try:
            return find_tools(each)
        except ToolsMissing:
            continue
    return find_tools(major)  # raises: it says how to get them


def _fill(point: LogicalPoint, server: ScratchServer, made: Made) -> None:
    with server.connect(server.any_database()) as connection:
        refused = load.make_roles(connection, point.globals())
    made.warnings += [
        TargetRefused(f"a role is not as it was: {line}", hint="See whether it matters.")
        for line in refused
    ]
    described = point.parameters()["databases"]
    for name in sorted(described):
        point.held.next_step(f"Loading {name}")
        try:
            with server.connect(server.any_database()) as connection:
                if name not in load.databases_of(connection):
                    load.create_database(connection, name, described[name])
        except TargetRefused as error:  # a locale that this host lacks
            made.warnings.append(error)
            made.lacking.add(name)
            continue
        _load_one(point, server, (name, str(described[name]["file"])), made)


def _load_one(
    point: LogicalPoint, server: ScratchServer, what: tuple[str, str], made: Made
) -> None:
    name, file = what
    progress = point.held.next_step(f"Loading {name}", total_bytes=point.size(file), done_bytes=0)

    def advance(count: int) -> None:
        progress.done_bytes += count

    words = ["--no-tablespaces", "--no-subscriptions", f"--dbname={name}"]
    lines = read_dump(
        server.tools,
        words,
        point.pieces(file, advance),
        lambda _: None,
        user=scratch.server_user(server.directory),
        environment=server.environment(name),
        lenient=True,
    )
    made.written += point.size(file)
    errors = [line for line in lines if "error:" in line]
    if errors:
        _judge(point.manifest, server.tools, name, errors, made)


def _judge(manifest: Manifest, tools: Tools, name: str, errors: list[str], made: Made) -> None:
    """What did not go in, and whether the dump is why."""
    told = f"database {name}: {len(errors)} things could not be restored: {errors[0][:300]}"
    lacking = next((e for e in errors if any(words in e for words in _NEEDS_MORE)), "")
    major = major_of(manifest.source.version_number)
    if tools.major != major:
        raise ToolsMissing(
            f"{told}; the dump is of PostgreSQL {major}, and was tried in {tools.major}",
            hint=f"Install PostgreSQL {major} on the agent's host, and drill again.",
        )
    if any(words in error for error in errors for words in _NO_ROOM):
        raise TargetFull(told, hint="Make room in the agent's scratch directory, and drill again.")
    if lacking:
        made.lacking.add(name)
        made.warnings.append(
            TargetRefused(
                f"{told}; this host lacks something: {lacking[:200]}",
                hint="Install the extension on the agent's host to try all of it.",
            )
        )
    else:
        made.problems.append(told)
