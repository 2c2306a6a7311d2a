"""A control plane in this process, answering over https, and Azure's own clients for it."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient
from joserfc.jwk import RSAKey

from authority import Authority
from seams import SystemChance, SystemClock
from strongroom.catalog.basis.database import Database
from strongroom.catalog.points import holds
from strongroom.catalog.protection import protection
from strongroom.catalog.tables.tables import metadata
from strongroom.catalog.work import agents as agent_rows
from strongroom.control.basis import long_running
from strongroom.control.basis.control import Control, OwnStorage, Second
from strongroom.control.identities import identity
from strongroom.control.protection import scheduling
from strongroom.datastore.keys.keys import open_under_kek, seal_under_kek
from strongroom.durable.engine import JobEngine
from strongroom.model.identities.access import OWNER
from strongroom.model.installation import Installation
from strongroom.model.oversight.outside import Outside, Room
from strongroom.model.points.hold import HELD
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.operation import StorageAccess
from strongroom.web.server import DoorSettings, create_app, listen

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
APP, SECRET = "00000000-aaaa-bbbb-cccc-000000000001", "correct horse battery staple"
KEK = bytes(range(32))
GROUP = "backup-rg"
VERSION = {"api-version": "2026-06-01"}
DATASOURCE = "Microsoft.DBforPostgreSQL/flexibleServers"


class Hasty(RequestsTransport):
    """Looks again sooner than it is told to: a second for each operation is long here."""

    def sleep(self, duration: float) -> None:
        super().sleep(min(duration, 0.05))


class ArmWorld:
    """One installation: its control plane, its address, and who may call."""

    def __init__(self, directory: Path) -> None:
        self._clients: list[Any] = []
        self.published: dict[str, bytes] = {}
        self.clock, self.chance = SystemClock(), SystemChance()
        authority = Authority(directory)
        self.ca = str(authority.ca_file)
        certificate, key = authority.server_certificate()
        token_key = directory / "token.pem"
        token_key.touch(0o600)
        token_key.write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
        self.token_key = token_key
        self._socket = listen("127.0.0.1", 0)
        self.url = f"https://localhost:{self._socket.getsockname()[1]}"
        self.database = Database(f"sqlite:///{directory / 'catalogue.sqlite'}")
        metadata.create_all(self.database.engine)
        self.engine = JobEngine(self.database.url, executor_id="test", listen_seconds=0.05)
        self.at_second: set[str] = set()  # recovery points
        self.second_tells: dict[str, Any] = {}
        self.room: Room | None = None  # of the storage endpoint, which there is none of
        self.control = Control(
            second=Second(
                location="local2",
                points=lambda instance: self.at_second,
                access=lambda *asked: StorageAccess(container_url="", sas={}, expires_at=""),
                told=lambda: self.second_tells,
            ),
            database=self.database,
            jobs=self.engine,
            clock=self.clock,
            chance=self.chance,
            installation=Installation(
                tenant_id=TENANT,
                subscription_id=SUBSCRIPTION,
                location="local",
                resource_group=GROUP,
                public_url=self.url,
                portal_url="http://127.0.0.1:1",
            ),
            release_keys=lambda *asked: b"",
            grant_access=lambda *asked: StorageAccess(container_url="", sas={}, expires_at=""),
            give_identifier=lambda *asked: None,
            withdraw_identifier=lambda *asked: None,
            outside=Outside(room=lambda: self.room),
            own_storage=OwnStorage(
                publish=self.published.update,
                address=lambda name: (f"https://store.example/exports/{name}", "?sig=x"),
            ),
            seal_signature=lambda job, text: seal_under_kek(
                KEK, text.encode(), job.encode(), self.chance
            ),
            open_signature=lambda job, sealed: open_under_kek(KEK, sealed, job.encode()).decode(),
        )
        for name, story in (
            ("configure-protection", self._configure),
            ("backup", lambda story, job: None),
            ("restore", lambda story, job: None),
            ("long-term-backup", lambda story, job: None),
            ("collect-garbage", lambda story, job: None),
            ("verify", lambda story, job: None),
            ("apply-policy", lambda story, policy, operation: None),
            ("drill", lambda story, job: None),
            ("expire-instance", lambda story, instance: None),
            ("purge", lambda story, thing: None),
            ("set-hold", self._hold),
            ("release-hold", self._release),
            ("rotate-kek", lambda story, operation: None),
            ("rotate-keys", lambda story, *told: None),
            ("check-keys", lambda story, *told: None),
            ("replace-recovery-key", lambda story, *told: None),
        ):
            self.engine.register(name, story)
        self.engine.launch()
        owner = [(OWNER.id, "/")]
        self.owner_id = identity.create_service_principal(
            self.control, "owner", APP, SECRET, owner
        )
        self.settings = DoorSettings(token_key.read_bytes(), certificate, key)
        self.app = create_app(self.control, self.settings)
        config = uvicorn.Config(
            self.app,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            log_config=None,
            access_log=False,
            loop="asyncio",
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self.clock.sleep(0.01)

    def _configure(self, story: Any, instance_id: str, operation_id: str) -> None:
        """What the durable story ends with; it makes no container, for there is no storage."""
        with self.database.writing() as connection:
            found = protection.by_id(connection, instance_id)
            protection.set_state(connection, instance_id, "ProtectionConfigured")
            policy = parse_policy(found.policy)
            scheduling.plan_instance(self.control, connection, instance_id, policy)
            now = self.clock.now()
            long_running.end_operation(connection, operation_id, now, result={})
        self.control.ended.ring(operation_id)

    def _hold(self, story: Any, hold_id: str, operation_id: str) -> None:
        """What the durable stories of holds end with; there is no storage to tell."""
        with self.database.writing() as connection:
            holds.change(connection, hold_id, state=HELD)
            now = self.clock.now()
            long_running.end_operation(connection, operation_id, now, result={})

    def _release(self, story: Any, hold_id: str, operation_id: str) -> None:
        with self.database.writing() as connection:
            holds.remove(connection, hold_id)
            now = self.clock.now()
            long_running.end_operation(connection, operation_id, now, result={})

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.servers[0].get_loop().call_soon_threadsafe(self._hang_up)
        self._server.should_exit = True
        self._thread.join()
        self.engine.close()
        self.database.close()

    def answering(self) -> set[Any]:
        """The requests under way."""
        return set(self._server.server_state.tasks)

    def _hang_up(self) -> None:
        """Answers that the SDK never reads to their end keep their TLS connections open."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    # Azure's own clients

    def credential(self, app: str = APP, secret: str = SECRET) -> ClientSecretCredential:
        found = ClientSecretCredential(
            TENANT,
            app,
            secret,
            authority=self.url,
            disable_instance_discovery=True,
            connection_verify=self.ca,
        )
        self._clients.append(found)
        return found

    def client(self, kind: Any, credential: Any = None) -> Any:
        found = kind(
            credential or self.credential(),
            SUBSCRIPTION,
            base_url=self.url,
            credential_scopes=[f"{self.url}/.default"],
            connection_verify=self.ca,
            transport=Hasty(connection_verify=self.ca),
        )
        self._clients.append(found)
        return found

    def backup(self, credential: Any = None) -> DataProtectionMgmtClient:
        return self.client(DataProtectionMgmtClient, credential)

    def roles(self, credential: Any = None) -> AuthorizationManagementClient:
        return self.client(AuthorizationManagementClient, credential)

    def resources(self, credential: Any = None) -> ResourceManagementClient:
        return self.client(ResourceManagementClient, credential)

    # Plain HTTP

    def token(self, app: str = APP, secret: str = SECRET) -> str:
        return self.credential(app, secret).get_token(f"{self.url}/.default").token

    def http(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        import ssl

        context = ssl.create_default_context(cafile=self.ca)
        return httpx.Client(base_url=self.url, verify=context, headers=headers, timeout=30)

    # What lies around the API

    def principal(self, name: str, roles: list[tuple[str, str]]) -> tuple[str, str, str]:
        """(object id, client id, secret) of somebody with these (role id, scope)."""
        secret = f"secret of {name}"
        found = identity.create_service_principal(self.control, name, name, secret, roles)
        return found, name, secret

    def agent(self, name: str = "agent-1") -> str:
        agent_id = f"id-of-{name}"
        now = self.clock.now()
        row = {
            "id": agent_id,
            "name": name,
            "token_hash": name,
            "version": "1",
            "enrolled_at": now,
            "seen_at": now,
        }
        with self.database.writing() as connection:
            agent_rows.add(connection, row)
        return agent_id

    def agent_says(self, agent_id: str, server: str, **facts: Any) -> None:
        told = {"name": server, "ready": True, "versionNumber": 180001, "sizeBytes": 7 << 30}
        told |= {"endpoint": "db.example:5432"} | facts
        with self.database.writing() as connection:
            agent_rows.seen(connection, agent_id, self.clock.now(), {server: told})


@contextlib.contextmanager
def arm_world() -> Iterator[ArmWorld]:
    with tempfile.TemporaryDirectory(prefix="strongroom-arm-") as directory:
        world = ArmWorld(Path(directory))
        try:
            yield world
        finally:
            world.close()


def server_id(name: str = "pg1", group: str = GROUP) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{DATASOURCE}/{name}"


def vault_id(name: str = "v1", group: str = GROUP) -> str:
    home = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
    return f"{home}/providers/Microsoft.DataProtection/backupVaults/{name}"
