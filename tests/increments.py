"""A chain of backups of one server: the agent in earnest, a control plane of a few lines."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from backup_orders import a_backup_order
from integration.servers import Server, open_directory, run_restored
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.agent.take_backup import take_backup
from strongroom.datastore.blobs import MemoryBlobs
from strongroom.datastore.delta import lay_over, of_whole_tree, open_delta
from strongroom.datastore.manifest import Manifest, PointFacts
from strongroom.datastore.reader import read_files
from strongroom.datastore.seal import KeyPair
from strongroom.datastore.session import content_keys
from strongroom.model.operation import (
    BackupOrder,
    BackupResult,
    Lease,
    ParentPoint,
    ParentReply,
    ParentRequest,
)
from strongroom.postgres.restore import RestoredFile, RestoreTarget
from strongroom.workflows.parents import told_of

INSTANCE = "1" * 32


@dataclass
class Client:
    """The control plane's one answer."""

    manifest: Manifest | None

    def parent(self, operation_id: str, request: ParentRequest, pause) -> ParentReply:
        assert self.manifest is not None
        reply = msgspec.json.encode(told_of(self.manifest))
        return msgspec.json.decode(reply, type=ParentReply)


@dataclass
class Chain:
    server: Server
    home: Path
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    catalogue: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    data: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    manifests: list[Manifest] = field(default_factory=list)
    results: list[BackupResult] = field(default_factory=list)

    def back_up(self, server: Server | None = None, *, on: int = -1) -> BackupResult:
        """An increment on the point `on`, if there is one yet."""
        parent = self.manifests[on] if self.manifests else None
        book = ServerBook(self.home / "servers.json")
        book.add("orders", (server or self.server).conninfo, replace=True)
        order = self._order(parent)
        lease = Lease(operation_id=order.job_id, epoch=1, backup=order)
        held = HeldLease(Client(parent), lease, SystemClock(), 5.0)
        done = take_backup(
            held, book, lambda held, scope: self.blobs, SystemClock(), SystemChance()
        )
        assert done.backup is not None
        self._commit(order, done.backup, parent)
        return done.backup

    def _order(self, parent: Manifest | None) -> BackupOrder:
        number = len(self.manifests) + 1
        wish = parent and ParentPoint(
            recovery_point_id=parent.facts.recovery_point_id,
            generation=parent.facts.generation,
        )
        return a_backup_order(number, INSTANCE, self.catalogue, self.data, parent=wish)

    def _commit(self, order: BackupOrder, told: BackupResult, parent: Manifest | None) -> None:
        delta = open_delta(self.blobs.read(order.delta_name), self.catalogue)
        parent = parent if told.kind == "Incremental" else None
        generation = order.generation
        if parent is not None:
            delta, generation = of_whole_tree(delta, parent), parent.facts.generation
        facts = PointFacts(
            recovery_point_id=order.recovery_point_id,
            instance_id=INSTANCE,
            job_id=order.job_id,
            taken_at="",
            committed_at="",
            generation=generation,
        )
        self.manifests.append(lay_over(delta, facts, parent))
        self.results.append(told)

    def restore(self, number: int, directory: Path, spaces: dict[str, str] | None = None) -> None:
        """The point `number` (0 is the first) into a new directory."""
        manifest = self.manifests[number]
        target = RestoreTarget(directory, spaces or {}, "restore")
        try:
            target.prepare(
                [
                    RestoredFile(f.path, f.size, f.mode, f.mtime, f.kind, f.link)
                    for f in manifest.files
                ]
            )
            keys = content_keys(self.blobs, manifest, self.data)
            read_files(manifest, self.blobs, keys, target.write)
            target.finish(manifest.pg_manifest, {})
            target.drop_marker()
        finally:
            target.close()

    @contextlib.contextmanager
    def restored(self, number: int, space: Path | None = None) -> Iterator[Server]:
        """Restored and started beside its source."""
        with open_directory() as place:
            spaces = {str(space): str(place / "space")} if space else {}
            self.restore(number, place / "restored", spaces)
            with run_restored(self.server, place / "restored") as clone:
                yield clone


@contextlib.contextmanager
def a_chain(server: Server) -> Iterator[Chain]:
    with open_directory() as home:
        yield Chain(server, home)
