"""Places for files as real emulators: Azurite, moto's S3, and a storage endpoint of ours."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import botocore.session
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    generate_container_sas,
)
from moto.server import ThreadedMotoServer

from fetch_azurite import PROGRAM, fetch, node
from ports import free_port
from store_world import ACCOUNT, KEY_TEXT, a_store_world, soon

EMULATED = "devstoreaccount1"  # what follows is public: every emulator has it
EMULATED_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Place(Protocol):
    """Where files can be left, seen by its owner."""

    url: str
    endpoint: str
    sas: str

    def put(self, name: str, data: bytes) -> None: ...

    def get(self, name: str) -> bytes: ...

    def names(self) -> dict[str, str]:
        """Name -> what changes when it is written again."""
        ...

    def unfinished(self) -> list[str]:
        """What was begun, and would stay for ever."""
        ...


@dataclass
class AzurePlace:
    client: ContainerClient
    sas: str
    endpoint: str = ""

    @property
    def url(self) -> str:
        return str(self.client.url)

    def put(self, name: str, data: bytes) -> None:
        self.client.upload_blob(name, data)

    def get(self, name: str) -> bytes:
        return bytes(self.client.download_blob(name).readall())

    def names(self) -> dict[str, str]:
        return {blob.name: str(blob.etag) for blob in self.client.list_blobs()}

    def unfinished(self) -> list[str]:
        return []  # blocks without a blob go by themselves, after a week


@dataclass
class S3Place:
    client: object
    bucket: str
    endpoint: str
    sas: str = ""

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/some/where"

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"some/where/{name}", Body=data)

    def get(self, name: str) -> bytes:
        found = self.client.get_object(Bucket=self.bucket, Key=f"some/where/{name}")
        return bytes(found["Body"].read())

    def names(self) -> dict[str, str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            each["Key"].removeprefix("some/where/"): f"{each['ETag']} {each['LastModified']}"
            for each in found
        }

    def unfinished(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [each["Key"] for each in found]


def a_container(service: BlobServiceClient, account: str, key: str, name: str) -> AzurePlace:
    """A new one, with the signature that somebody would make for it with Azure's own tools."""
    service.create_container(name)
    sas = generate_container_sas(
        account,
        name,
        account_key=key,
        permission=ContainerSasPermissions(read=True, create=True, write=True),
        expiry=soon(),
    )
    return AzurePlace(service.get_container_client(name), sas)


@contextlib.contextmanager
def azurite() -> Iterator[BlobServiceClient]:
    """Microsoft's emulator, in memory."""
    fetch()
    port, found = free_port(), node()
    assert found is not None
    words = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]
    with tempfile.TemporaryDirectory(prefix="azurite-") as home:
        with (Path(home) / "log").open("wb") as log:
            process = subprocess.Popen(
                [found, str(PROGRAM), *words, "--blobPort", str(port)],
                cwd=home,
                stdout=log,
                stderr=log,
            )
        try:
            _await_port(port, process)
            url = f"http://127.0.0.1:{port}/{EMULATED}"
            with BlobServiceClient(url, credential=EMULATED_KEY) as service:
                yield service
        finally:
            process.kill()
            process.wait()


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)


@contextlib.contextmanager
def our_store() -> Iterator[BlobServiceClient]:
    with a_store_world() as world, world.azure() as service:
        yield service


@contextlib.contextmanager
def s3() -> Iterator[tuple[object, str]]:
    """(a client, the endpoint). The agent finds its credentials in the environment."""
    ours = {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester's secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        session = botocore.session.Session()
        client = session.create_client("s3", endpoint_url=endpoint, region_name="us-east-1")
        with contextlib.closing(client):
            yield client, endpoint
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Places:
    """New ones of one kind, as many as are asked for."""

    kind: str
    service: object
    endpoint: str = ""
    made: int = 0

    def new(self) -> Place:
        self.made += 1
        name = f"{self.kind}-{self.made}"
        if self.kind == "s3":
            self.service.create_bucket(Bucket=name)
            return S3Place(self.service, name, self.endpoint)
        account = ACCOUNT if self.kind == "ours" else EMULATED
        key = KEY_TEXT if self.kind == "ours" else EMULATED_KEY
        return a_container(self.service, account, key, name)


KINDS = ("azurite", "ours", "s3")


@contextlib.contextmanager
def places(kind: str) -> Iterator[Places]:
    if kind == "s3":
        with s3() as (client, endpoint):
            yield Places(kind, client, endpoint)
    else:
        with azurite() if kind == "azurite" else our_store() as service:
            yield Places(kind, service)
