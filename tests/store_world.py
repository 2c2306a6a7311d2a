"""A storage endpoint for tests: the real server in a thread, on a free port of the loopback."""

import base64
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from azure.storage.blob import BlobServiceClient, ContainerClient
from obstore.store import AzureStore

from seams import SystemChance, SystemClock
from strongroom.model.identities.sas import Protocol, Resource
from strongroom.storage.basis.blob import Blob, Facts
from strongroom.storage.basis.disk import Disk
from strongroom.storage.basis.settings import Account, StoreSettings
from strongroom.storage.blobs.store import BlobStore, open_store
from strongroom.storage.door.sas import service_sas
from strongroom.storage.server import create_app

ACCOUNT = "strongroom"
KEY = bytes(range(64))
KEY_TEXT = base64.b64encode(KEY).decode()


@dataclass
class StoreWorld:
    root: Path
    port: int
    store: BlobStore
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    def azure(self, **options: object) -> BlobServiceClient:
        """Azure's own client with the account key, not repeating itself on errors."""
        return BlobServiceClient(self.url, credential=KEY_TEXT, retry_total=0, **options)

    def azure_by_sas(self, container: str, sas: str, **options: object) -> ContainerClient:
        url = f"{self.url}/{container}?{sas}"
        return ContainerClient.from_container_url(url, retry_total=0, **options)

    def obstore(self, container: str, sas: str | None = None) -> AzureStore:
        credential = {"sas_key": sas} if sas else {"account_key": KEY_TEXT}
        return AzureStore(
            container,
            account_name=ACCOUNT,
            endpoint=self.url,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            **credential,
        )

    def file(self, container: str, name: str) -> Path:
        return self.root / ACCOUNT / container / name


def a_sas(
    container: str,
    path: str = "",
    resource: Resource = "c",
    permissions: str = "c",
    *,
    minutes: float = 60,
    starts_in: float | None = None,
    protocol: Protocol = "https,http",
    key: bytes = KEY,
    account: str = ACCOUNT,
    identifier: str = "",
) -> str:
    """A service SAS of this world's account; `minutes` until it expires."""
    now = SystemClock().now()
    return service_sas(
        key,
        account=account,
        container=container,
        path=path,
        resource=resource,
        permissions=permissions,
        starts=None if starts_in is None else now.add(minutes=starts_in),
        expires=now.add(seconds=round(minutes * 60)),
        protocol=protocol,
        identifier=identifier,
    )


def soon(minutes: int = 60) -> datetime:
    """For Azure's own SAS generators."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


@contextlib.contextmanager
def a_store_world(
    disk: Disk | None = None, *, tls: tuple[Path, Path] | None = None, **settings: object
) -> Iterator[StoreWorld]:
    """`tls`: the files of a certificate and its key."""
    with tempfile.TemporaryDirectory(prefix="store-") as directory:
        root = Path(directory)
        chosen = {"reserve_bytes": 0, **settings}
        store = open_store(
            StoreSettings(root=root, account=ACCOUNT, account_key=KEY, **chosen),
            SystemClock(),
            SystemChance(),
            disk,
        )
        account = Account(ACCOUNT, KEY, bytes(settings.get("reader_key", b"")))
        app = create_app(store, account, SystemClock(), SystemChance())
        config = uvicorn.Config(
            app, port=0, log_config=None, access_log=False, lifespan="on", ws="none"
        )
        config.ssl_certfile, config.ssl_keyfile = tls or (None, None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield StoreWorld(root, port, store, "https" if tls else "http")
        finally:
            server.should_exit = True
            thread.join(timeout=15)


def put(store: BlobStore, name: str, data: bytes) -> Blob:
    """A blob of the container `cont`, as one request brings it."""
    upload = store.begin("cont", name, len(data))
    try:
        upload.write([data])
        return store.commit(upload, Facts())
    finally:
        upload.abandon()
