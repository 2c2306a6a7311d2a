"""A chain of backups of one server: the agent in earnest, a control plane of a few lines."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from backup_orders import a_backup_order
from integration.servers import Server, open_directory, run_restored
from seams import SystemChance, SystemClock
from strongroom.agent.backup.physical import take_backup
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import Grounds
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.scratch.extract import extract
from strongroom.agent.servers import ServerBook, Source
from strongroom.datastore.keys.session import SessionKeys, content_keys, seal_session
from strongroom.datastore.maps.delta import lay_over, of_whole_tree, open_delta
from strongroom.datastore.maps.manifest import Manifest, PointFacts, content_key_of, seal_manifest
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs, MemoryBlobs
from strongroom.datastore.reading.reader import read_files
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import (
    BackupOrder,
    BackupResult,
    KeysReply,
    KeysRequest,
    Lease,
    ParentPoint,
    ParentReply,
    ParentRequest,
    RestoreResult,
)
from strongroom.postgres.restore.restore import RestoredFile, RestoreTarget
from strongroom.workflows.backup.parents import told_of, told_part

INSTANCE = "1" * 32


@dataclass
class Client:
    """The control plane's answers about one point."""

    chain: "Chain"
    manifest: Manifest | None

    def parent(self, operation_id: str, request: ParentRequest, pause) -> ParentReply:
        assert self.manifest is not None
        told = told_of(self.manifest)
        if request.part >= 0:
            told = told_part(self.manifest, self.chain.blobs, request.part)
        return msgspec.json.decode(msgspec.json.encode(told), type=ParentReply)

    def keys(self, operation_id: str, request: KeysRequest, pause) -> KeysReply:
        assert self.manifest is not None
        chain = self.chain
        stored = chain.blobs.read(f"p/{self.manifest.facts.recovery_point_id}.manifest")
        keys = SessionKeys(
            manifest=content_key_of(stored, chain.catalogue),
            packs=content_keys(chain.blobs, self.manifest, chain.data),
        )
        return KeysReply(sealed=seal_session(keys, request.session_public_key, operation_id))


@dataclass
class Chain:
    server: Server
    home: Path
    blobs: Blobs = field(default_factory=MemoryBlobs)
    catalogue: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    data: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    manifests: list[Manifest] = field(default_factory=list)
    results: list[BackupResult] = field(default_factory=list)

    def back_up(
        self, server: Server | None = None, *, on: int = -1, source: Source = "auto"
    ) -> BackupResult:
        """An increment on the point `on`, if there is one yet."""
        parent = self.manifests[on] if self.manifests else None
        book = ServerBook(self.home / "servers.json")
        book.add("orders", (server or self.server).conninfo, source=source, replace=True)
        order = self._order(parent)
        lease = Lease(operation_id=order.job_id, epoch=1, backup=order)
        held = HeldLease(Client(self, parent), lease, SystemClock(), 5.0)
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
        manifest = lay_over(delta, facts, parent)
        sealed = seal_manifest(manifest, self.catalogue.public, SystemClock(), SystemChance())
        self.blobs.create(f"p/{order.recovery_point_id}.manifest", sealed)
        self.manifests.append(manifest)
        self.results.append(told)

    def extract(self, number: int, target: Server, database: str, rename: str) -> RestoreResult:
        """One database of the point `number`, loaded into a server under a new name."""
        book = ServerBook(self.home / "targets.json")
        book.add("target", target.conninfo, replace=True)
        more = {"database": database, "rename": rename, "target_server": "target"}
        return self._extract(number, Grounds((), self._journal()), book, **more)

    def dump_table(self, number: int, database: str, table: str, directory: Path) -> RestoreResult:
        """A dump of one table of the point in a new directory."""
        book = ServerBook(self.home / "no-servers.json")
        grounds = Grounds((directory.parent,), self._journal())
        more = {"database": database, "table": table, "target_directory": str(directory)}
        return self._extract(number, grounds, book, **more)

    def as_files(self, number: int, directory: Path) -> RestoreResult:
        """Every database of the point as a file of a new directory, and what they share."""
        book = ServerBook(self.home / "no-servers.json")
        grounds = Grounds((directory.parent,), self._journal())
        return self._extract(number, grounds, book, target_directory=str(directory))

    def _journal(self) -> RestoreJournal:
        return RestoreJournal(self.home / "journal")

    def _extract(
        self, number: int, grounds: Grounds, book: ServerBook, **more: str
    ) -> RestoreResult:
        point = self.manifests[number].facts.recovery_point_id
        order = ExtractOrder(
            job_id=f"extract-{more.get('rename') or more.get('table', 'files')}",
            recovery_point_id=point,
            instance_id=INSTANCE,
            manifest_name=f"p/{point}.manifest",
            **more,
        )
        lease = Lease(operation_id=order.job_id, epoch=1, extract=order)
        held = HeldLease(Client(self, self.manifests[number]), lease, SystemClock(), 5.0)
        done = extract(held, grounds, book, lambda held, scope: self.blobs, SystemChance())
        assert done.restore is not None
        return done.restore

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
