"""An agent with all its real parts, beside a made-up control plane that keeps the keys.

PostgreSQL is real, the storage endpoint is real, the agent's loop runs in threads of this process.
"""

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from structlog.testing import capture_logs

import clusters
from agent_world import AGENT_TOKEN, AgentWorld, Operation, an_agent_world
from backup_orders import a_backup_order
from integration.servers import DIGEST
from ports import free_port
from seams import SystemChance, SystemClock
from store_world import KEY_TEXT, StoreWorld, a_sas, a_store_world
from strongroom.agent.loop import Agent
from strongroom.agent.process import control_of, real_trades
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Identity, Settings
from strongroom.datastore.keys.session import SessionKeys, content_keys, seal_session
from strongroom.datastore.maps.delta import Delta, lay_over, open_delta
from strongroom.datastore.maps.manifest import (
    Manifest,
    PointFacts,
    content_key_of,
    open_manifest,
    seal_manifest,
)
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import AzureBlobs
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.operation import BackupOrder, RestoreOrder, StorageAccess
from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import Tools, find_tools

MAJOR = 15
INSTANCE = "1" * 32


@contextlib.contextmanager
def an_open_directory() -> Iterator[Path]:
    """A directory that the server's own user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="story-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Server:
    tools: Tools
    directory: Path
    port: int
    sockets: Path

    @property
    def conninfo(self) -> str:
        return f"host={self.sockets} port={self.port} user=postgres dbname=postgres"

    @contextlib.contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.conninfo + f" dbname={database}", autocommit=True) as connection:
            yield connection

    def run(self, *statements: str, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def digests(self, database: str) -> dict[str, tuple[int, str]]:
        """(rows, digest of all rows) of every table."""
        with self.connect(database) as connection:
            tables = connection.execute(
                "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
                "where schemaname not in ('pg_catalog', 'information_schema') order by 1"
            ).fetchall()
            return {name: connection.execute(DIGEST.format(name)).fetchone() for (name,) in tables}

    def stop(self, mode: str = "fast") -> None:
        scratch.stop(self.tools, self.directory, mode)


def own(directory: Path) -> None:
    """To the user that PostgreSQL runs as."""
    if os.geteuid() == 0:
        user = scratch.server_user()
        os.chown(directory, user.uid, user.gid)


@contextlib.contextmanager
def a_server(root: Path, *options: str, settings: str = "") -> Iterator[Server]:
    tools = find_tools(MAJOR)
    home = root / "source"
    home.mkdir(mode=0o755)
    own(home)
    server = Server(tools, home / "data", free_port(), home)
    clusters.initialise(tools, server.directory, *options)
    with (server.directory / "postgresql.conf").open("a") as file:
        file.write(
            "listen_addresses = ''\nshared_buffers = '32MB'\nmax_wal_senders = 8\n"
            f"unix_socket_directories = '{home}'\nfsync = off\n{settings}\n"
        )
    scratch.start(tools, server.directory, port=server.port, socket_directory=home)
    try:
        yield server
    finally:
        if scratch.is_running(tools, server.directory):
            server.stop("immediate")


class Story:
    """One agent, one instance, its container and its keys."""

    def __init__(self, world: AgentWorld, store: StoreWorld, settings: Settings) -> None:
        self.prepare(world, store)
        clock, chance = SystemClock(), SystemChance()
        identity = Identity(agent_id="agent-1", agent_token=AGENT_TOKEN, control_url=world.url)
        self.book = ServerBook(settings.servers_file)
        self.client = control_of(identity, chance)
        trades = real_trades(settings, identity, self.book, clock, chance)
        self.agent = Agent(settings, self.client, self.book, trades, clock, chance)
        self._thread = threading.Thread(target=self.agent.work)

    def prepare(self, world: AgentWorld, store: StoreWorld) -> None:
        """The control plane's side: keys, a container, and who opens what."""
        self.world = world
        self.store = store
        self.catalogue = KeyPair.generate(SystemChance())
        self.data = KeyPair.generate(SystemChance())
        store.azure().create_container(INSTANCE)
        self.blobs = AzureBlobs(f"{store.url}/{INSTANCE}", account_key=KEY_TEXT)
        world.release_keys = self.release_keys

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.agent.stop()
        self._thread.join(15)
        self.world.close()
        self.client.close()
        assert not self._thread.is_alive()

    def backup_order(self, number: int = 1, **more: Any) -> tuple[BackupOrder, StorageAccess]:
        order = a_backup_order(number, INSTANCE, self.catalogue, self.data, **more)
        return order, self.writing(order.generation, order.delta_name)

    def writing(self, generation: str, delta: str, *, minutes: float = 60) -> StorageAccess:
        sas = {
            "packs": a_sas(INSTANCE, f"g/{generation}", "d", "c", minutes=minutes),
            "delta": a_sas(INSTANCE, delta, "b", "c", minutes=minutes),
        }
        return StorageAccess(container_url=f"{self.store.url}/{INSTANCE}", sas=sas, expires_at="")

    def back_up(self, number: int = 1, seconds: float = 60) -> Operation:
        order, access = self.backup_order(number)
        operation = self.world.offer(order, access=access, lease_seconds=30)
        self.world.await_that(lambda: operation.status in {"completed", "failed"}, seconds)
        return operation

    def delta_of(self, operation: Operation) -> Delta:
        name = operation.order["backup"].delta_name
        return open_delta(self.blobs.read(name), self.catalogue)

    def commit(self, operation: Operation) -> Manifest:
        order = operation.order["backup"]
        facts = PointFacts(
            recovery_point_id=order.recovery_point_id,
            instance_id=INSTANCE,
            job_id=order.job_id,
            taken_at="2026-01-01T00:00:00Z",
            committed_at="2026-01-01T00:01:00Z",
        )
        manifest = lay_over(self.delta_of(operation), facts)
        public = self.catalogue.public
        sealed = seal_manifest(manifest, public, SystemClock(), SystemChance())
        self.blobs.create(f"p/{order.recovery_point_id}.manifest", sealed)
        return open_manifest(sealed, self.catalogue)

    def release_keys(self, operation_id: str, session_public_key: bytes) -> bytes:
        """What the control plane does: open just the keys of the plan, seal to the session."""
        (order,) = self.world.operations[operation_id].order.values()
        stored = self.blobs.read(order.manifest_name)
        manifest = open_manifest(stored, self.catalogue)
        keys = SessionKeys(
            manifest=content_key_of(stored, self.catalogue),
            packs=content_keys(self.blobs, manifest, self.data),
        )
        return seal_session(keys, session_public_key, operation_id)

    def manifest_key(self, number: int) -> bytes:
        return content_key_of(self.blobs.read(f"p/{number:032x}.manifest"), self.catalogue)

    def restore_order(self, target: Path, number: int = 1, **more: Any) -> RestoreOrder:
        point = f"{number:032x}"
        return RestoreOrder(
            job_id=f"restore-{target.name}",
            recovery_point_id=point,
            instance_id=INSTANCE,
            manifest_name=f"p/{point}.manifest",
            target_directory=str(target),
            **more,
        )

    def extract_order(self, name: str, number: int = 1, **more: Any) -> ExtractOrder:
        point = f"{number:032x}"
        return ExtractOrder(
            job_id=f"extract-{name}",
            recovery_point_id=point,
            instance_id=INSTANCE,
            manifest_name=f"p/{point}.manifest",
            **more,
        )

    def restore(self, order: RestoreOrder | ExtractOrder, seconds: float = 90) -> Operation:
        operation = self.world.offer(order, access=self.reading(), lease_seconds=30)
        self.world.await_that(lambda: operation.status in {"completed", "failed"}, seconds)
        return operation

    def reading(self) -> StorageAccess:
        sas = {"read": a_sas(INSTANCE, "", "c", "r")}
        return StorageAccess(container_url=f"{self.store.url}/{INSTANCE}", sas=sas, expires_at="")


@contextlib.contextmanager
def a_story(data: Path, **more: Any) -> Iterator[Story]:
    settings = Settings(
        data=data, poll_seconds=0.5, heartbeat_seconds=0.2, stop_seconds=6.0, **more
    )
    with an_agent_world() as world, a_store_world() as store, capture_logs():
        story = Story(world, store, settings)
        try:
            yield story
        finally:
            story.end()


def restored(source: Server, directory: Path, port: int) -> Server:
    """A server that was restored beside its source and started."""
    return replace(source, directory=directory, port=port)
