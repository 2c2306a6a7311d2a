"""A drill: restore a recovery point into a throw-away server, and see whether it is what it was.

What is wrong with the point is a result, and no failure of the agent's. What is wrong with this
host (no room, no programs, no storage) is a failure, and says nothing of the point.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.proof.drill_server import Made, Places, logical_server, physical_server
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.logical_point import LogicalPoint, is_logical
from strongroom.agent.restore.point_keys import PointKeys, open_manifest
from strongroom.agent.scratch.part import Part
from strongroom.datastore.maps.manifest import Manifest
from strongroom.model.errors import (
    Corrupt,
    Failed,
    Invalid,
    ObjectMissing,
    Precondition,
    TargetError,
    ToolsMissing,
    WrongKey,
)
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.drill import (
    MOST_TABLES,
    TRUE,
    Answer,
    Assertion,
    DrillOrder,
    DrillResult,
    by_name,
)
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import Completion
from strongroom.postgres.part import trial
from strongroom.postgres.part.amcheck import Connection, check_database
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.server import scratch
from strongroom.postgres.server.no_network import network_of

_SPOILED = (Corrupt, ObjectMissing, WrongKey)  # said of what was read: the point's own fault


@dataclass(frozen=True, slots=True)
class DrillGround:
    """Where a drill may work, and what this host asks of its servers' points.

    `root` is a directory of this agent's; without one the system's temporary directory serves.
    """

    root: Path | None
    journal: RestoreJournal
    own: OwnSettingsFile

    @contextmanager
    def places(self) -> Iterator[Places]:
        """Noted while they are there: what a killed agent leaves goes at its next start."""
        if self.root is not None and not self.root.exists():
            self.root.mkdir(parents=True)
            # For root: PostgreSQL's user passes through to the one directory that is its own.
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with self._one(self.root) as home, self._one(None) as sockets:
            yield Places(home, sockets)

    @contextmanager
    def _one(self, within: Path | None) -> Iterator[Path]:
        """Under `within`, or the system's temporary directory: a socket's path must be short."""
        with scratch.scratch_directory(within=within) as place, self.journal.noted(place):
            yield place


def drill(
    held: HeldLease,
    ground: DrillGround,
    open_container: OpenContainer,
    clock: Clock,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """The whole story. A second attempt starts over; nothing is left of either.

    Raises StoreError for what cannot be read now, TargetError for what this host lacks (room,
    programs), LeaseLost, Cancelled.
    """
    order = held.lease.drill
    if order is None:
        raise Invalid("not an order to drill")
    asked = [*ground.own.load().assertions_of(order.server), *order.assertions]
    blobs = open_container(held, "read")
    result = DrillResult(source_version=0)
    try:
        keys = PointKeys(held, chance)
        manifest = open_manifest(order.manifest_name, order.recovery_point_id, blobs, keys)
        result.source_version = manifest.source.version_number
        whole = ExtractOrder(
            job_id=order.job_id,
            recovery_point_id=order.recovery_point_id,
            instance_id=order.instance_id,
            manifest_name=order.manifest_name,
        )
        part = Part(held, whole, manifest, blobs, keys, share.workers, whole=True)
        logical = LogicalPoint(held, manifest, blobs, keys.packs, share)
        with ground.places() as places:
            _Trial(order, part, logical, asked, result, clock).run(places)
    except _SPOILED as error:
        held.check()  # what it meets while it is being stopped is not the point's fault
        result.find(error.message)
    return Completion(epoch=held.lease.epoch, drill=result)


@dataclass(slots=True)
class _Trial:
    """One point that is tried."""

    order: DrillOrder
    part: Part
    logical: LogicalPoint
    asked: list[Assertion]
    result: DrillResult
    clock: Clock
    made: Made = field(init=False)

    def __post_init__(self) -> None:
        self.made = Made(self.clock.monotonic)

    @property
    def held(self) -> HeldLease:
        return self.part.held

    @property
    def manifest(self) -> Manifest:
        return self.part.manifest

    @contextmanager
    def server(self, places: Places) -> Iterator[ScratchServer]:
        if is_logical(self.manifest):
            with logical_server(self.logical, places, self.made) as server:
                yield server
        else:
            with physical_server(self.part, places, self.made) as server:
                yield server

    def run(self, places: Places) -> None:
        began = self.clock.monotonic()
        with self.server(places) as server:
            self._note_restored(began, self.clock.monotonic())
            pid = scratch.running(server.directory).pid
            self.result.network = network_of(pid)
            with self.held.when_stopped(lambda: os.kill(pid, signal.SIGQUIT)):
                self._try(server)

    def _note_restored(self, began: float, ready: float) -> None:
        """How long it took until the server took connections, and what it cost."""
        result, made = self.result, self.made
        restored = made.restored_at or ready
        result.seconds["restore"] = round(restored - began, 3)
        result.seconds["recover"] = round(ready - restored, 3)
        result.ready_seconds = round(ready - began, 3)
        result.written_bytes, result.fetched_bytes = made.written, made.fetched
        for problem in made.problems:
            result.find(problem)
        result.warnings += [warning.to_dict() for warning in made.warnings]

    def _try(self, server: ScratchServer) -> None:
        databases = server.databases()
        self.result.databases = len(databases)
        role = f"strongroom_drill_{self.order.job_id[:8]}"
        with trial.opened(server, server.any_database()) as connection:
            self.result.server_version = connection.info.parameter_status("server_version") or ""
            trial.make_reader(connection, role)
        for database in databases:
            self._look_into(server, database, role)
        self.held.next_step("Asking")
        with self._timed("ask"):
            for assertion in self.asked:
                self.held.check()
                if assertion.database in databases:
                    self._hear(trial.ask(server, role, assertion))
                else:
                    self._hear(_nowhere(assertion))
        self.held.check()

    def _look_into(self, server: ScratchServer, database: str, role: str) -> None:
        """Read all of one database; one that cannot be read is a problem, or of another locale."""
        self.held.next_step(f"Checking {database}")
        try:
            with trial.opened(server, database) as connection:
                trial.let_in(connection, database, role)
                self._warn_of_extensions(connection, database)
                if not is_logical(self.manifest):
                    with self._timed("check"):
                        self._check(connection, database)
                self.held.next_step(f"Counting {database}")
                with self._timed("count"):
                    self._count(connection, database)
        except TargetError as error:
            self.held.check()
            if trial.OTHER_LOCALE in error.message:
                self._warn([f"database {database}: {error.message}"])
            else:
                self.result.find(f"database {database}: {error.message}")

    def _warn_of_extensions(self, connection: Connection, database: str) -> None:
        missing = trial.missing_extensions(connection)
        if missing:
            names = ", ".join(missing)
            error = ToolsMissing(
                f"database {database} uses {names}, which this host lacks",
                hint="Install it on the agent's host, so that a drill can try all of it.",
            )
            self.result.warnings.append(error.to_dict())

    def _check(self, connection: Connection, database: str) -> None:
        looked = check_database(connection, self.held.check)
        self.result.relations += looked.relations
        self.result.indexes += looked.indexes
        for problem in looked.problems:
            self.result.find(f"database {database}: {problem}")
        self._warn([f"database {database}: {each}" for each in looked.unknown])

    def _count(self, connection: Connection, database: str) -> None:
        unknown = []
        for counted in trial.count_tables(connection, database, self.held.check):
            if counted.problem:
                told = f"database {database}: {counted.problem}"
                if counted.damage:
                    self.result.find(told)
                else:
                    unknown.append(told)
                continue
            self.result.rows += counted.table.rows
            if len(self.result.tables) < MOST_TABLES:
                self.result.tables.append(counted.table)
            else:
                self.result.more_tables += 1
        self._warn(unknown)

    def _warn(self, unknown: list[str]) -> None:
        """Of many things that could not be looked at here, the first, and how many there are."""
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            error = Failed(
                f"could not be tried on this host: {unknown[0]}{more}",
                hint="See whether an extension or a locale of the source is missing here.",
            )
            self.result.warnings.append(error.to_dict())

    def _hear(self, answer: Answer) -> None:
        self.result.answers.append(answer)
        told = "".join(by_name([answer]))
        lacking = answer.database in self.made.lacking and answer.answer != "false"
        if answer.answer == TRUE:
            return
        if lacking or answer.answer.startswith(trial.NOT_ASKED):
            hint = "Install the extension on the agent's host."
            self.result.warnings.append(Precondition(told, hint=hint).to_dict())
        else:
            self.result.find(told)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = self.clock.monotonic()
        try:
            yield
        finally:
            spent = self.clock.monotonic() - began
            self.result.seconds[step] = round(self.result.seconds.get(step, 0.0) + spent, 3)


def _nowhere(asked: Assertion) -> Answer:
    return Answer(
        name=asked.name, database=asked.database, answer="the point has no such database"
    )
