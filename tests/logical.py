"""Dumps of one server and their loading: the agent in earnest, a control plane of a few lines."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from backup_orders import a_backup_order
from integration.servers import Server, open_directory
from seams import SystemChance, SystemClock
from strongroom.agent.backup.logical import take_dump
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore.data_directory import Grounds
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.load import load
from strongroom.agent.scratch.extract import extract
from strongroom.agent.servers import ServerBook
from strongroom.datastore.dumps.dump_map import lay_dump
from strongroom.datastore.keys.session import SessionKeys, content_keys, seal_session
from strongroom.datastore.maps.delta import open_delta
from strongroom.datastore.maps.manifest import Manifest, PointFacts, content_key_of, seal_manifest
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs, MemoryBlobs
from strongroom.model.seams import Clock
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.logical import DumpWish, LoadOrder, LoadResult
from strongroom.model.work.operation import (
    BackupOrder,
    BackupResult,
    KeysReply,
    Lease,
    ParentReply,
    RestoreResult,
    StorageAccess,
)
from strongroom.workflows.backup.parents import told_of

INSTANCE = "1" * 32


@dataclass
class Dumps:
    """Points of one instance, each dump leaning on the one before."""

    home: Path
    blobs: Blobs = field(default_factory=MemoryBlobs)
    catalogue: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    data: KeyPair = field(default_factory=lambda: KeyPair.generate(SystemChance()))
    manifests: list[Manifest] = field(default_factory=list)

    def lease(
        self,
        order: BackupOrder | LoadOrder | ExtractOrder,
        access: StorageAccess | None = None,
        kind: type[HeldLease] = HeldLease,
    ) -> HeldLease:
        lease = Lease(operation_id=order.job_id, epoch=1, access=access)
        if isinstance(order, BackupOrder):
            lease.backup = order
        elif isinstance(order, LoadOrder):
            lease.load = order
        else:
            lease.extract = order
        return kind(self, lease, SystemClock(), 5.0)

    def book(self, conninfo: str) -> ServerBook:
        book = ServerBook(self.home / "servers.json")
        book.add("orders", conninfo, replace=True)
        return book

    def order(self) -> BackupOrder:
        number = len(self.manifests) + 1
        parent = self.manifests[-1].facts.recovery_point_id if self.manifests else ""
        wish = DumpWish(chunk_key=bytes(range(32)), parent=parent)
        return a_backup_order(number, INSTANCE, self.catalogue, self.data, dump=wish)

    def commit(self, order: BackupOrder, base: Manifest | None) -> None:
        """What the control plane makes of a dump that leans on `base`."""
        facts = PointFacts(
            recovery_point_id=order.recovery_point_id,
            instance_id=INSTANCE,
            job_id=order.job_id,
            taken_at="",
            committed_at="",
            kind="logical",
            generation=order.generation,
        )
        delta = open_delta(self.blobs.read(order.delta_name), self.catalogue)
        manifest = lay_dump(delta, facts, base)
        sealed = seal_manifest(manifest, self.catalogue.public, SystemClock(), SystemChance())
        self.blobs.create(f"p/{order.recovery_point_id}.manifest", sealed)
        self.manifests.append(manifest)

    def dump(
        self,
        conninfo: str,
        held: HeldLease | None = None,
        share: Share = WHOLE,
        clock: Clock | None = None,
    ) -> BackupResult:
        held = held or self.lease(self.order())
        order = held.lease.backup
        assert order is not None
        clock = clock or SystemClock()
        done = take_dump(
            held, self.book(conninfo), lambda *_: self.blobs, clock, SystemChance(), share
        )
        assert done.backup is not None
        self.commit(order, self.manifests[-1] if self.manifests else None)
        return done.backup

    def load(
        self, target: Server, databases: dict[str, str] | None = None, *, roles: bool = False
    ) -> LoadResult:
        """Of the newest point."""
        point = self.manifests[-1].facts.recovery_point_id
        order = LoadOrder(
            server="orders",
            job_id=f"load-{point}",
            recovery_point_id=point,
            instance_id=INSTANCE,
            manifest_name=f"p/{point}.manifest",
            databases=databases or {},
            with_roles=roles,
        )
        done = load(
            self.lease(order),
            self.book(target.conninfo),
            lambda *_: self.blobs,
            SystemChance(),
            self.home / "spool",
        )
        assert done.load is not None
        assert not list((self.home / "spool").iterdir())
        return done.load

    def extract_order(self, name: str, **more: Any) -> ExtractOrder:
        """Of the newest point."""
        point = self.manifests[-1].facts.recovery_point_id
        return ExtractOrder(
            job_id=f"extract-{name}",
            recovery_point_id=point,
            instance_id=INSTANCE,
            manifest_name=f"p/{point}.manifest",
            **more,
        )

    def extract(
        self,
        order: ExtractOrder,
        conninfo: str = "",
        *,
        access: StorageAccess | None = None,
        held: HeldLease | None = None,
    ) -> RestoreResult:
        """`conninfo`: of the server that "orders" is."""
        grounds = Grounds((), RestoreJournal(self.home / "restores"))
        book = self.book(conninfo) if conninfo else ServerBook(self.home / "no-servers.json")
        held = held or self.lease(order, access)
        done = extract(held, grounds, book, lambda *_: self.blobs, SystemChance())
        assert done.restore is not None
        return done.restore

    # the control plane's answers

    def parent(self, operation_id, request, pause) -> ParentReply:
        return msgspec.json.decode(
            msgspec.json.encode(told_of(self.manifests[-1])), type=ParentReply
        )

    def keys(self, operation_id, request, pause) -> KeysReply:
        manifest = self.manifests[-1]
        stored = self.blobs.read(f"p/{manifest.facts.recovery_point_id}.manifest")
        keys = SessionKeys(
            manifest=content_key_of(stored, self.catalogue),
            packs=content_keys(self.blobs, manifest, self.data),
        )
        return KeysReply(sealed=seal_session(keys, request.session_public_key, operation_id))


@contextlib.contextmanager
def dumps() -> Iterator[Dumps]:
    with open_directory() as home:
        yield Dumps(home)
