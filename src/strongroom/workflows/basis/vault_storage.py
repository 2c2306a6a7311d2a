"""The control plane's way to storage: containers by instance, and the SAS it hands out."""

import base64
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from strongroom.datastore.places.blobs import AzureBlobs
from strongroom.datastore.places.container import Container
from strongroom.datastore.places.inventory import Inventory
from strongroom.model.errors import ObjectMissing, StoreUnavailable
from strongroom.model.identities.sas import Protocol, Resource, sign_service_sas
from strongroom.model.oversight.outside import Room
from strongroom.model.seams import Clock
from strongroom.model.work.operation import StorageAccess

SAS_MINUTES = 60
_KEPT_OPEN = 16
EXPORTS = "exports"  # the container of files for people


class VaultStorage:
    """One account at one storage endpoint. The account key never leaves this process."""

    def __init__(
        self, account_url: str, account_key: bytes, clock: Clock, *, ca: bytes | None = None
    ) -> None:
        """`account_url` is http(s)://host:port/account; `ca` (PEM) is whom to trust for https."""
        self._url = account_url.rstrip("/")
        self._account = urlsplit(self._url).path.strip("/")
        self._key = account_key
        self._clock = clock
        self._ca = ca
        self._open: OrderedDict[str, AzureBlobs] = OrderedDict()
        self._lock = threading.Lock()

    def container_url(self, instance_id: str) -> str:
        """Where an instance's objects lie."""
        return f"{self._url}/{instance_id}"

    def container(self, instance_id: str) -> AzureBlobs:
        """All verbs on an instance's container. Making one takes 7 ms: the last few are kept."""
        with self._lock:
            found = self._open.pop(instance_id, None)
            if found is None:
                key = base64.b64encode(self._key).decode()
                url = self.container_url(instance_id)
                found = AzureBlobs(url, account_key=key, ca=self._ca)
            self._open[instance_id] = found
            if len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)
        return found

    def account_view(self, instance_id: str) -> Container:
        """What only the account key may: make the container, have its objects read again."""
        return Container(self.container_url(instance_id), self._key, self._clock, ca=self._ca)

    def containers(self) -> list[str]:
        """Every container at the endpoint, whoever knows of it."""
        return Inventory(self._url, self._key, self._clock, ca=self._ca).containers()

    def inventory(self, instance_id: str) -> Inventory:
        """What the endpoint itself knows of a container."""
        return Inventory(self.container_url(instance_id), self._key, self._clock, ca=self._ca)

    def give_identifier(self, instance_id: str, identifier: str, quota: int) -> None:
        """SAS that hang on it are good from now on, for `quota` bytes; safe twice."""
        self.account_view(instance_id).give_identifier(identifier, quota)

    def withdraw_identifier(self, instance_id: str, identifier: str) -> None:
        """SAS that hang on it are refused from now on; safe twice."""
        self.account_view(instance_id).withdraw_identifier(identifier)

    def sign_files(self, container: str, identifier: str) -> str:
        """A SAS for a container that is filled with files: to write there, and read again.

        Worth nothing before its identifier is given there, or once that is withdrawn.
        """
        return sign_service_sas(
            self._key,
            account=self._account,
            container=container,
            path="",
            resource="c",
            permissions="rcw",
            starts=None,
            expires=self._clock.now().add(minutes=SAS_MINUTES),
            protocol="https" if self._url.startswith("https") else "https,http",
            identifier=identifier,
        )

    def publish(self, files: Mapping[str, bytes]) -> None:
        """Leave files for people to fetch; what was left the day before goes.

        A name begins with when it was, so that names of an earlier day are the smaller ones.
        """
        place, view = self.container(EXPORTS), self.account_view(EXPORTS)
        view.ensure()
        yesterday = self._clock.now().add(hours=-24).format_iso(basic=True, unit="second")
        for name in [name for name, _ in place.list("") if name < yesterday]:
            view.delete(name)
        for name, data in files.items():
            place.create(name, data)

    def holds(self, container: str, names: Sequence[str]) -> list[str]:
        """Those of the names that are taken there. Raises ObjectMissing, StoreError."""
        place, found = self.container(container), []
        next(place.list(""), None)  # of a container that is not there nothing else tells
        for name in names:
            with suppress(ObjectMissing):
                place.size(name)
                found.append(name)
        return found

    def published_at(self, name: str) -> tuple[str, str]:
        """(URL, ?SAS of an hour) of such a file."""
        signed = sign_service_sas(
            self._key,
            account=self._account,
            container=EXPORTS,
            path=name,
            resource="b",
            permissions="r",
            starts=None,
            expires=self._clock.now().add(minutes=SAS_MINUTES),
            protocol="https" if self._url.startswith("https") else "https,http",
        )
        return f"{self.container_url(EXPORTS)}/{name}", f"?{signed}"

    def health(self, whose: str = "storage endpoint") -> dict[str, Any]:
        """What it says of itself to everybody. Raises StoreUnavailable."""
        place = urlsplit(self._url)
        pem = None if self._ca is None else self._ca.decode("ascii")
        trust = ssl.create_default_context(cadata=pem) if place.scheme == "https" else False
        try:
            answer = httpx.get(f"{place.scheme}://{place.netloc}/healthz", verify=trust, timeout=5)
            return dict(msgspec.json.decode(answer.content, type=dict))
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise StoreUnavailable(
                f"the {whose} cannot be asked: {type(error).__name__}",
                hint="see whether it runs: its log, and its /healthz",
            ) from error

    def room(self) -> Room:
        """On its disk. Raises StoreUnavailable."""
        told = self.health()
        try:
            free, reserve = int(told["freeBytes"]), int(told["reserveBytes"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreUnavailable("the storage endpoint's answer cannot be read") from error
        return Room(free, reserve, holds_blobs="backEnd" not in told)

    @property
    def account_url(self) -> str:
        """http(s)://host:port/account."""
        return self._url

    def grant(self, kind: str, instance_id: str, paths: dict[str, str]) -> StorageAccess:
        """One epoch's SAS: a backup creates its packs and its delta, a restore reads.

        They hang on the epoch's identifier: worth nothing before it is given, or once withdrawn.
        """
        protocol: Protocol = "https" if self._url.startswith("https") else "https,http"
        expires = self._clock.now().add(minutes=SAS_MINUTES)

        def sign(resource: Resource, path: str, permissions: str) -> str:
            return sign_service_sas(
                self._key,
                account=self._account,
                container=instance_id,
                path=path,
                resource=resource,
                permissions=permissions,
                starts=None,
                expires=expires,
                protocol=protocol,
                identifier=paths["identifier"],
            )

        if kind == "backup":
            sas = {
                "packs": sign("d", f"g/{paths['generation']}", "c"),
                "delta": sign("b", paths["delta"], "c"),
                "partial": sign("d", paths["partial"], "c"),
            }
            if paths.get("parent"):
                sas["parent"] = sign("d", f"g/{paths['parent']}", "c")
        elif kind == "stream":
            sas = {"wal": sign("d", "w", "c")}
        else:
            sas = {"read": sign("c", "", "r")}
        return StorageAccess(
            container_url=self.container_url(instance_id),
            sas=sas,
            expires_at=expires.format_iso(),
            ca=(self._ca or b"").decode("ascii"),
        )


class SecondStorage(VaultStorage):
    """A copy at another endpoint, by its reader key: nothing is written there, or withdrawn."""

    def access(self, instance_id: str) -> StorageAccess:
        """To read a container there for an hour: no identifier there can be withdrawn."""
        return self.grant("restore", instance_id, {"identifier": ""})

    def told(self) -> dict[str, Any]:
        """How far behind it is, by its own word. Raises StoreUnavailable."""
        return dict(self.health("second endpoint").get("pull") or {})
