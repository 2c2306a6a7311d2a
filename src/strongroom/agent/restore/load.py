"""Load databases of a logical point into a running server that this agent looks after.

The dumps are put together in a private directory, one after the other: pg_restore wants a file
that it can seek in to work side by side, and packs are read in the order in which they lie.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.private_file import own_directory
from strongroom.agent.restore.logical_point import LogicalPoint, described
from strongroom.agent.restore.point_keys import PointKeys, open_manifest
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import Invalid, TargetFull, TargetRefused, VaultError
from strongroom.model.postgres import major_of
from strongroom.model.seams import Chance
from strongroom.model.sizes import told_size
from strongroom.model.work.logical import LoadOrder, LoadResult
from strongroom.model.work.operation import Completion, Progress
from strongroom.postgres.dump import load as target
from strongroom.postgres.dump.database_settings import Setting, settings_of
from strongroom.postgres.dump.identity_grants import give_again, grants_of
from strongroom.postgres.dump.list_dump import owners_in, subscriptions_left_out
from strongroom.postgres.dump.money import reading_money, written_as
from strongroom.postgres.dump.new_database import is_of_job, left_by_others, new_database
from strongroom.postgres.server.client import Client, client_of
from strongroom.postgres.server.connect import Conninfo, connect
from strongroom.postgres.server.tools import Tools, find_tools

_OURS = "load-"  # directories of dumps
_OWN_STATISTICS = 18  # from this major on a dump brings the planner's statistics along


def load(
    held: HeldLease,
    book: ServerBook,
    open_container: OpenContainer,
    chance: Chance,
    spool: Path,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. A database that was made here and could not be filled is dropped again;
    what an earlier try of this job has loaded whole stays.

    Raises TargetError, SourceError (the target is a server too), StoreError, NotFound, LeaseLost,
    Cancelled.
    """
    order = _order_of(held)
    conninfo = book.conninfo(order.server)
    blobs = open_container(held, "read")
    keys = PointKeys(held, chance)
    manifest = open_manifest(order.manifest_name, order.recovery_point_id, blobs, keys)
    point = LogicalPoint(held, manifest, blobs, keys.packs, share)
    parameters = point.parameters()
    plan = _plan(order, parameters)
    with connect(conninfo) as connection:
        version = connection.info.server_version
        there = target.databases_of(connection)
        whole = {n for n in there & {*plan.values()} if is_of_job(connection, n, order.job_id)}
        left = left_by_others(connection, order.job_id)
    target.check_major(manifest.source.version_number, version)
    tools = find_tools(major_of(version), program="pg_restore")
    for name in plan.values():
        if name in there - whole:
            target.check_empty(conninfo, name)
    with client_of(conninfo) as client, _spool(spool) as directory:
        loading = _Loading(
            held, order.job_id, point, conninfo, tools, client, directory, warnings=left
        )
        loading.prepare(order, parameters)
        for old, new in plan.items():
            if new in whole:
                loading.count(parameters, old, new)
            else:
                loading.one(parameters, old, new, make=new not in there)
    return Completion(epoch=held.lease.epoch, load=loading.result(version))


def _order_of(held: HeldLease) -> LoadOrder:
    if held.lease.load is None:
        raise Invalid("not an order to load")
    return held.lease.load


def _plan(order: LoadOrder, parameters: dict[str, Any]) -> dict[str, str]:
    """Name in the point -> name in the target; each name there once."""
    known = parameters["databases"]
    plan = dict(order.databases) or {name: name for name in known}
    for name in plan:
        described(parameters, name)
    if len(set(plan.values())) != len(plan):
        raise Invalid("two databases would have one name", hint="Rename one of them.")
    return plan


def take_away_dumps(home: Path) -> None:
    """What a killed agent was about to load: whole databases, in the clear."""
    for left in home.glob(f"{_OURS}*"):
        shutil.rmtree(left)


@contextmanager
def _spool(home: Path) -> Iterator[Path]:
    own_directory(home)
    with tempfile.TemporaryDirectory(dir=home, prefix=_OURS) as directory:  # mode 0700
        yield Path(directory)


@dataclass(slots=True)
class _Loading:
    held: HeldLease
    job: str
    point: LogicalPoint
    conninfo: Conninfo
    tools: Tools
    client: Client
    directory: Path
    missing: set[str] = field(default_factory=set)
    out_of_reach: set[str] = field(default_factory=set)  # roles, for whoever loads
    roles: bool = False
    loaded: list[str] = field(default_factory=list)
    loaded_bytes: int = 0
    warnings: list[VaultError] = field(default_factory=list)

    def prepare(self, order: LoadOrder, parameters: dict[str, Any]) -> None:
        """Roles, when asked; whether owners and privileges can be kept."""
        globals_sql = self.point.globals()
        with connect(self.conninfo) as connection:
            if order.with_roles:
                self._make_roles(target.make_roles(connection, globals_sql), parameters)
            self.missing = target.roles_of(globals_sql) - target.existing_roles(connection)
            self.out_of_reach = target.out_of_reach(connection)
        if self.missing:
            names = ", ".join(sorted(self.missing)[:20])
            self.warnings.append(
                TargetRefused(
                    f"owners and privileges were left out: the target lacks the roles {names}",
                    hint="Make the roles first, or load with --with-roles.",
                )
            )

    def _keeps_owners(self, facts: dict[str, Any], dump: Path) -> bool:
        """Whether owners and privileges can be kept in a database; tells of it where not."""
        if self.missing:
            return False
        barred = self.out_of_reach & {str(facts["owner"])}
        barred |= owners_in(self.tools, dump, self.out_of_reach)
        if barred:
            self.warnings.append(target.not_given(barred))
        return not barred

    def _make_roles(self, refused: list[str], parameters: dict[str, Any]) -> None:
        self.warnings += [
            TargetRefused(f"a role is not as it was: {line}", hint="Mend it by hand.")
            for line in refused
        ]
        if not parameters["rolePasswords"]:
            self.warnings.append(
                TargetRefused(
                    "roles were made without passwords: the dump's role might not read them",
                    hint="Set them: ALTER ROLE ... PASSWORD.",
                )
            )

    def one(self, parameters: dict[str, Any], old: str, name: str, *, make: bool) -> None:
        """One database, from storage to the server."""
        facts = parameters["databases"][old]
        path = str(facts["file"])
        size = self.point.size(path)
        if shutil.disk_usage(self.directory).free < size:
            raise TargetFull(
                f"{self.directory} has no room for the {told_size(size)} of {name}'s dump",
                hint="Free space in the agent's data directory.",
            )
        progress = Progress(step=f"Fetching {name}", total_bytes=size, files=len(self.loaded))
        self.held.tell(progress)
        dump = self.directory / "dump"
        self.point.spool(path, dump, progress)
        self.held.tell(Progress(step=f"Loading {name}", done_bytes=size, total_bytes=size))
        owners = self._keeps_owners(facts, dump)
        owner = str(facts["owner"]) if owners else ""
        made: AbstractContextManager[str] = nullcontext(name)
        if make:
            made = new_database(self.conninfo, self.job, name, facts, owner=owner)
        with made as filled:
            with target.telling_missing(self.missing):
                self._restore(filled, dump, written_as(parameters, old), owners=owners)
            if owners and (grants := grants_of(facts)):
                with connect(self.conninfo.changed(dbname=filled)) as connection:
                    self.warnings += give_again(connection, grants)
            self.warnings += subscriptions_left_out(self.tools, dump, name)
            described = facts if make else {}
            self._set(settings_of(parameters, old), (filled, name), described, owners=owners)
        dump.unlink()
        self.count(parameters, old, name)

    def count(self, parameters: dict[str, Any], old: str, name: str) -> None:
        """One database is there."""
        self.loaded.append(name)
        self.loaded_bytes += self.point.size(str(parameters["databases"][old]["file"]))

    def _set(
        self,
        settings: Iterable[Setting],
        names: tuple[str, str],
        described: dict[str, Any],
        *,
        owners: bool,
    ) -> None:
        """Last: what makes a database read only would keep its rows out."""
        with connect(self.conninfo) as connection:
            self.warnings += target.settle_database(
                connection, names, settings, described, privileges=owners
            )

    def _restore(self, name: str, dump: Path, money: str, *, owners: bool) -> None:
        there = self.conninfo.changed(dbname=name)
        program = target.restore_database(
            self.tools,
            reading_money(self.client, there, self.tools, dump, money),
            name,
            dump,
            jobs=self.point.share.workers,
            owners=owners,
        )
        with program, self.held.when_stopped(program.kill):
            program.run(self.held.check)

    def result(self, version: int) -> LoadResult:
        steps = []
        source = major_of(self.point.manifest.source.version_number)
        if min(source, major_of(version)) < _OWN_STATISTICS:
            steps.append("Let the planner know its tables: vacuumdb --all --analyze-in-stages")
        return LoadResult(
            databases=self.loaded,
            loaded_bytes=self.loaded_bytes,
            fetched_bytes=self.point.fetched,
            next_steps=steps,
            warnings=[warning.to_dict() for warning in self.warnings],
        )
