"""What the holder of the account key may do beyond the blobs: make a container, ask for digests.

Requests are signed with SharedKey. Source: Microsoft, "Authorize with Shared Key"; the digests
verb is the storage endpoint's own (docs/decisions/0010).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from strongroom.model.errors import StoreDenied, StoreError, StoreFull, StoreUnavailable
from strongroom.model.sas import sign
from strongroom.model.seams import Clock

_VERSION = "2025-01-05"
_BATCH = 200
_TIMEOUT = httpx.Timeout(600.0, connect=10.0)


@dataclass(frozen=True, slots=True)
class BlobDigest:
    """What the endpoint found when it read an object again."""

    name: str
    size: int = -1
    blake3: bytes = b""
    missing: bool = False
    corrupt: bool = False


class Container:
    """The account key's view of one container."""

    def __init__(self, container_url: str, account_key: bytes, clock: Clock) -> None:
        self._url = container_url
        self._key = account_key
        self._clock = clock

    def ensure(self) -> None:
        """Make the container; one that is there already is as good."""
        answer = self._send("PUT", {"restype": "container"}, b"")
        if answer.status_code not in {201, 409}:
            raise _error(answer)

    def digests(self, names: Sequence[str]) -> Iterator[BlobDigest]:
        """The endpoint re-reads every named object, and says what it found."""
        for start in range(0, len(names), _BATCH):
            body = msgspec.json.encode({"names": list(names[start : start + _BATCH])})
            answer = self._send("POST", {"comp": "digests", "restype": "container"}, body)
            if answer.status_code != 200:
                raise _error(answer)
            for told in answer.json()["digests"]:
                yield _digest(told)

    def _send(self, method: str, query: dict[str, str], body: bytes) -> httpx.Response:
        date = self._clock.now().to_stdlib().strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": date, "x-ms-version": _VERSION}
        kind = "application/json" if body else ""
        length = str(len(body)) if body else ""
        path = urlsplit(self._url).path
        account = path.split("/")[1]
        text = "\n".join(
            [method, "", "", length, "", kind, "", "", "", "", "", ""]
            + [f"{name}:{value}" for name, value in sorted(headers.items())]
            + [f"/{account}{path}", *[f"{k}:{v}" for k, v in sorted(query.items())]]
        )
        headers["Authorization"] = f"SharedKey {account}:{sign(self._key, text)}"
        if kind:
            headers["Content-Type"] = kind
        try:
            return httpx.request(
                method, self._url, params=query, content=body, headers=headers, timeout=_TIMEOUT
            )
        except httpx.HTTPError as error:
            raise StoreUnavailable(
                f"the storage endpoint cannot be reached: {type(error).__name__}",
                hint="see whether it runs: strongroom status",
            ) from error


def _digest(told: dict[str, Any]) -> BlobDigest:
    return BlobDigest(
        name=told["name"],
        size=int(told.get("size", -1)),
        blake3=bytes.fromhex(told.get("blake3", "")),
        missing=bool(told.get("missing")),
        corrupt=bool(told.get("corrupt")),
    )


def _error(answer: httpx.Response) -> StoreError:
    code = answer.headers.get("x-ms-error-code", "")
    if answer.status_code in {401, 403}:
        return StoreDenied(f"the storage endpoint refuses the account key ({code})")
    if answer.status_code == 507:
        return StoreFull("the storage endpoint is full", hint="free space or add some")
    return StoreUnavailable(f"the storage endpoint answers {answer.status_code} {code}")
