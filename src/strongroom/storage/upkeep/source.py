"""The endpoint that another one is filled from, as its reader key sees it."""

import ssl
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from strongroom.model.errors import (
    Corrupt,
    ObjectMissing,
    StoreDenied,
    StoreUnavailable,
    VaultError,
)
from strongroom.model.identities.sas import shared_key
from strongroom.model.seams import Clock
from strongroom.storage.basis.protocol import API_VERSION, http_date
from strongroom.storage.basis.settings import PullSettings
from strongroom.storage.ledger.locks import State

_PIECE = 1 << 20
_MOST_ANSWER = 64 << 20
_TIMEOUT = 30.0  # seconds without a byte
_T = TypeVar("_T")


class Listed(msgspec.Struct, frozen=True):
    """A blob as it was written there; `blake3` is hex."""

    name: str
    size: int
    blake3: str


class RemoteBook(msgspec.Struct, frozen=True):
    """What keeps the blobs of a container there: name -> until (ISO 8601), (name, id) of holds."""

    state: State
    days: int
    locks: dict[str, str]
    holds: list[tuple[str, str]]


class _Containers(msgspec.Struct):
    containers: list[str]


class _Page(msgspec.Struct):
    blobs: list[Listed]
    next: str


class Source:
    """Reads, and can do nothing else. Each request has a connection of its own."""

    def __init__(self, settings: PullSettings, clock: Clock) -> None:
        self._url = urlsplit(settings.url.rstrip("/"))
        self._settings = settings
        self._clock = clock

    def containers(self) -> list[str]:
        """Their names."""
        return self._ask("", {"comp": "inventory"}, _Containers).containers

    def book(self, container: str) -> RemoteBook:
        """Raises ObjectMissing when the container is gone meanwhile."""
        return self._ask(f"/{container}", {"restype": "container", "comp": "book"}, RemoteBook)

    def blobs(self, container: str) -> Iterator[Listed]:
        """In name order. Raises ObjectMissing."""
        marker = ""
        while True:
            query = {"restype": "container", "comp": "inventory"}
            query |= {"marker": marker} if marker else {}
            page = self._ask(f"/{container}", query, _Page)
            yield from page.blobs
            if not page.next:
                return
            marker = page.next

    def read(self, container: str, name: str) -> Iterator[bytes]:
        """A blob's bytes, piece by piece. Raises ObjectMissing, Corrupt, StoreUnavailable."""
        connection, answer = self._get(f"/{container}/{quote(name)}", {})
        try:
            while piece := answer.read(_PIECE):
                yield piece
        except (OSError, HTTPException) as error:
            raise _away(error) from error
        finally:
            connection.close()

    def _ask(self, path: str, query: dict[str, str], kind: type[_T]) -> _T:
        connection, answer = self._get(path, query)
        try:
            return msgspec.json.decode(answer.read(_MOST_ANSWER), type=kind)
        except (OSError, HTTPException) as error:
            raise _away(error) from error
        except msgspec.MsgspecError as error:
            raise StoreUnavailable("the answer of the first endpoint cannot be read") from error
        finally:
            connection.close()

    def _get(self, path: str, query: dict[str, str]) -> tuple[HTTPConnection, HTTPResponse]:
        whole = self._url.path + path
        headers = {"x-ms-date": http_date(self._clock.now()), "x-ms-version": API_VERSION}
        headers["Authorization"] = shared_key(
            self._settings.key,
            account=self._url.path.strip("/"),
            method="GET",
            path=whole,
            query=query,
            headers=headers,
        )
        connection = self._connection()
        try:
            target = f"{whole or '/'}?{urlencode(query)}" if query else whole
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise _away(error) from error
        if answer.status != 200:
            code = answer.headers.get("x-ms-error-code", "")
            connection.close()
            raise _refused(answer.status, code)
        return connection, answer

    def _connection(self) -> HTTPConnection:
        host, ca = self._url.netloc, self._settings.ca
        if self._url.scheme != "https":
            return HTTPConnection(host, timeout=_TIMEOUT)
        pem = None if ca is None else ca.decode("ascii")
        return HTTPSConnection(
            host, timeout=_TIMEOUT, context=ssl.create_default_context(cadata=pem)
        )


def _away(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the first endpoint cannot be reached: {type(error).__name__}",
        hint="see whether it runs, and whether this host may call it",
    )


def _refused(status: int, code: str) -> VaultError:
    if code == "BlobCorrupt":
        return Corrupt("the first endpoint has found it damaged", code=code)
    if status == 404:
        return ObjectMissing("it is not at the first endpoint", code=code)
    if status in {401, 403}:
        return StoreDenied(
            f"the first endpoint refuses the reader key ({code})",
            hint="give both the same --reader-key, and see that their clocks are right",
        )
    return StoreUnavailable(f"the first endpoint answers {status} {code}")
