"""Back ends of a store as real emulators: moto's S3 with Object Lock, and Azurite."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from file_places import EMULATED, EMULATED_KEY, azurite, s3
from strongroom.storage.basis.settings import BackEndSettings

KINDS = ("s3", "azure")


@dataclass
class BackEnds:
    """New places of one kind; `client` is its owner's, with the account's ordinary keys."""

    kind: str
    client: Any
    endpoint: str

    def new(self, *, locks: bool = True, **more: object) -> BackEndSettings:
        """A bucket of its own; Azurite has no locks, whatever is asked for."""
        name = f"bucket-{uuid.uuid4().hex}"  # moto's buckets are all those of this process
        more = {"without_native_locks": self.kind == "azure" or not locks, **more}
        if self.kind == "s3":
            self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
            return BackEndSettings(url=f"s3://{name}/pre/fix", endpoint=self.endpoint, **more)
        self.client.create_container(name)
        secrets = {"AZURE_STORAGE_KEY": EMULATED_KEY}
        url = f"azure://{EMULATED}/{name}/pre/fix"
        return BackEndSettings(url=url, endpoint=self.endpoint, secrets=secrets, **more)


@contextlib.contextmanager
def back_ends(kind: str) -> Iterator[BackEnds]:
    """S3's credentials stand in the environment, Azure's key in the settings."""
    if kind == "s3":
        with s3() as (client, endpoint):
            yield BackEnds(kind, client, endpoint)
    else:
        with azurite() as service:
            yield BackEnds(kind, service, service.url.rstrip("/"))
