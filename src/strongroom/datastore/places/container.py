"""What the holder of the account key may do beyond the blobs: containers, digests, identifiers,
deletes.

Requests are signed with SharedKey. Source: Microsoft, "Authorize with Shared Key"; the digests
verb is the storage endpoint's own (docs/decisions/0011), and so are those that give and withdraw
one signed identifier (docs/decisions/0012).
"""

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from whenever import Instant

from strongroom.model.errors import (
    Locked,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from strongroom.model.identities.sas import shared_key
from strongroom.model.seams import Clock

_VERSION = "2025-01-05"
_RFC1123 = "%a, %d %b %Y %H:%M:%S GMT"
_UNTIL = "x-ms-immutability-policy-until-date"
_MODE = "x-ms-immutability-policy-mode"
_DAYS = "x-strongroom-days"
_BATCH = 32  # packs: whatever the store reads them from, it has read so many within the timeout
_MOST_ANSWER = 1 << 20  # bytes
_TIMEOUT = 10.0  # seconds without a byte
_REREADING_TIMEOUT = 600.0  # a batch of packs is read again before the answer
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class BlobDigest:
    """What the endpoint found when it read an object again."""

    name: str
    size: int = -1
    blake3: bytes = b""
    missing: bool = False
    corrupt: bool = False


class Immutability(msgspec.Struct, frozen=True):
    """state: Disabled | Unlocked | Locked; each blob stays `days` from its creation."""

    state: str
    days: int = 0


class Lock(msgspec.Struct, frozen=True):
    """What keeps a name. `until`: ISO 8601, or None; it binds unless the state is Disabled."""

    state: str
    until: str | None
    holds: list[str]


class _Locks(msgspec.Struct):
    locks: list[Lock]


class _Told(msgspec.Struct):
    """One entry of the endpoint's answer."""

    name: str
    size: int = -1
    blake3: str = ""
    missing: bool = False
    corrupt: bool = False


class _Digests(msgspec.Struct):
    digests: list[_Told]


class _Damaged(msgspec.Struct):
    damaged: list[str]


class Container:
    """The account key's view of one container."""

    def __init__(
        self, container_url: str, account_key: bytes, clock: Clock, *, ca: bytes | None = None
    ) -> None:
        """`container_url` is http(s)://host:port/account/container; `ca` (PEM) is whom to trust
        for https.
        """
        self._url = urlsplit(container_url)
        self._key = account_key
        self._clock = clock
        self._ca = ca

    def ensure(self) -> None:
        """Make the container; one that is there already is as good."""
        status, code, _ = self._send("PUT", {"restype": "container"}, b"")
        if status not in {201, 409}:
            raise _error(status, code)

    def give_identifier(self, identifier: str, quota: int) -> None:
        """SAS that name it are good from now on, for `quota` bytes; safe twice.

        Raises ObjectMissing where there is no such container.
        """
        query = {"comp": "identifier", "restype": "container", "id": identifier}
        status, code, _ = self._send("PUT", {**query, "quota": str(quota)}, b"")
        if code == "ContainerNotFound":
            raise ObjectMissing("there is no such container")
        if status != 201:
            raise _error(status, code)

    def withdraw_identifier(self, identifier: str) -> None:
        """SAS that name it are refused from now on; safe twice."""
        query = {"comp": "identifier", "restype": "container", "id": identifier}
        status, code, _ = self._send("DELETE", query, b"")
        if status != 202 and code != "ContainerNotFound":
            raise _error(status, code)

    def immutability(self) -> Immutability:
        """As the endpoint keeps it."""
        return _told(self._ask("GET", "immutability", {}), Immutability)

    def set_immutability(self, wanted: Immutability) -> Immutability:
        """What it is then. Raises Locked when less is wanted than is Locked."""
        headers = {_MODE: wanted.state, _DAYS: str(wanted.days)}
        return _told(self._ask("PUT", "immutability", {}, headers), Immutability)

    def extend_locks(self, names: Sequence[str], until: Instant) -> list[Lock]:
        """Lock blobs, or all beneath a prefix that ends in `/`; the answers are read back.

        The wire has whole seconds: a lock ends with the one that `until` lies in.
        """
        date = until.round("second", mode="ceil").to_stdlib().strftime(_RFC1123)
        body = msgspec.json.encode({"names": names})
        return _told(self._ask("PUT", "lock", {}, {_UNTIL: date}, body), _Locks).locks

    def lock(self, name: str) -> Lock:
        """What keeps it."""
        return _told(self._ask("GET", "lock", {"prefix": name}), Lock)

    def release_lock(self, name: str) -> Lock:
        """What keeps it then. Raises Locked where locks are Locked."""
        return _told(self._ask("DELETE", "lock", {"prefix": name}), Lock)

    def hold(self, name: str, identifier: str) -> Lock:
        """A legal hold on a blob or a prefix; safe twice."""
        return _told(self._ask("PUT", "hold", {"prefix": name, "id": identifier}), Lock)

    def lift_hold(self, name: str, identifier: str) -> Lock:
        """The end of one; safe twice."""
        return _told(self._ask("DELETE", "hold", {"prefix": name, "id": identifier}), Lock)

    def _ask(
        self,
        method: str,
        comp: str,
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        asked = {"comp": comp, "restype": "container", **query}
        status, code, answer = self._send(method, asked, body, headers=headers)
        if status == 409:
            raise Locked(
                "the storage endpoint keeps what is locked",
                hint="A lock can be extended, never shortened.",
                facts={"code": code},
            )
        if status != 200:
            raise _error(status, code)
        return answer

    def digests(self, names: Sequence[str], since: Instant | None = None) -> Iterator[BlobDigest]:
        """The endpoint re-reads every named object, and says what it found, in this order.

        `since`: what it found whole since then, by its own clock, it need not read once more.
        """
        headers = {} if since is None else {"x-ms-found-since": since.format_iso()}
        query = {"comp": "digests", "restype": "container"}
        for start in range(0, len(names), _BATCH):
            batch = list(names[start : start + _BATCH])
            body = msgspec.json.encode({"names": batch})
            status, code, answer = self._send(
                "POST", query, body, _REREADING_TIMEOUT, headers=headers
            )
            if status != 200:
                raise _error(status, code)
            yield from _read(answer, batch)

    def damaged(self) -> list[str]:
        """Objects whose bytes the endpoint's scrub found to be others than were written."""
        query = {"comp": "findings", "restype": "container"}
        status, code, answer = self._send("GET", query, b"")
        if code == "ContainerNotFound":
            return []
        if status != 200:
            raise _error(status, code)
        return _told(answer, _Damaged).damaged

    def delete(self, name: str) -> bool:
        """Delete an object; one that is gone already is as good. False: the endpoint keeps it."""
        status, code, _ = self._send("DELETE", {}, b"", name=name)
        if status in {409, 412}:  # a lock, a hold, a lease
            return False
        if status not in {202, 404}:
            raise _error(status, code)
        return True

    def _send(
        self,
        method: str,
        query: dict[str, str],
        body: bytes,
        timeout: float = _TIMEOUT,
        *,
        name: str = "",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str, bytes]:
        """(status, Azure's code, body) of one signed request on a connection of its own."""
        date = self._clock.now().to_stdlib().strftime(_RFC1123)
        headers = {
            "x-ms-date": date,
            "x-ms-version": _VERSION,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        if body:
            headers["Content-Type"] = "application/json"
        path = self._url.path + (f"/{quote(name)}" if name else "")
        headers["Authorization"] = shared_key(
            self._key,
            account=path.split("/")[1],
            method=method,
            path=path,
            query=query,
            headers=headers,
        )
        connection = self._connection(timeout)
        try:
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return (
                answer.status,
                answer.headers.get("x-ms-error-code", ""),
                answer.read(_MOST_ANSWER),
            )
        except (OSError, HTTPException) as error:
            raise StoreUnavailable(
                f"the storage endpoint cannot be reached: {type(error).__name__}",
                hint="see whether it runs: strongroom status",
            ) from error
        finally:
            connection.close()

    def _connection(self, timeout: float) -> HTTPConnection:
        host = self._url.netloc
        if self._url.scheme != "https":
            return HTTPConnection(host, timeout=timeout)
        pem = None if self._ca is None else self._ca.decode("ascii")
        context = ssl.create_default_context(cadata=pem)
        return HTTPSConnection(host, timeout=timeout, context=context)


def _told(answer: bytes, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable("the storage endpoint's answer cannot be read") from error


def _read(answer: bytes, asked: list[str]) -> Iterator[BlobDigest]:
    try:
        told = msgspec.json.decode(answer, type=_Digests).digests
        found = [
            BlobDigest(t.name, t.size, bytes.fromhex(t.blake3), t.missing, t.corrupt) for t in told
        ]
    except ValueError as error:
        raise StoreUnavailable("the storage endpoint's answer cannot be read") from error
    if [digest.name for digest in found] != asked:
        raise StoreUnavailable("the storage endpoint answered for other objects than were asked")
    return iter(found)


def _error(status: int, code: str) -> StoreError:
    if status in {401, 403}:
        return StoreDenied(
            f"the storage endpoint refuses the account key ({code})",
            hint="the key must be the endpoint's own, and both clocks right to 15 minutes",
        )
    if status == 507:
        return StoreFull("the storage endpoint is full", hint="free space or add some")
    return StoreUnavailable(f"the storage endpoint answers {status} {code}")
