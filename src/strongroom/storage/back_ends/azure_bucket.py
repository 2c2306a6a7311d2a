"""A container of Azure Blob Storage: version-level immutability, and create-only puts.

Requests are signed with the account's key. Sources: Microsoft, "Put Blob", "Set Blob Immutability
Policy", "Set Blob Legal Hold", "Get Container Properties". Azurite accepts the headers of a
policy and keeps none: so what is there is read again, always.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import unescape

import httpx
from whenever import Instant

from strongroom.model.errors import (
    Invalid,
    ObjectExists,
    ObjectMissing,
    Precondition,
    StoreDenied,
    StoreUnavailable,
)
from strongroom.model.identities.sas import shared_key
from strongroom.model.seams import Clock
from strongroom.storage.back_ends.back_end import NativeLock, Reading
from strongroom.storage.back_ends.bucket import Listed, Stored, md5_of
from strongroom.storage.basis.protocol import http_date
from strongroom.storage.basis.settings import MIB, BackEndSettings

_VERSION = "2021-12-02"
_DIGEST = "x-ms-meta-strongroom_blake3"
_UNTIL = "x-ms-immutability-policy-until-date"
_MODE = "x-ms-immutability-policy-mode"
_HELD = "x-ms-legal-hold"
_WORM = "x-ms-immutable-storage-with-versioning-enabled"
_PIECE = MIB
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_BLOB = re.compile(r"<Blob>(.*?)</Blob>", re.DOTALL)
_NAME = re.compile(r"<Name>([^<]*)</Name>")
_VERSION_ID = re.compile(r"<VersionId>([^<]+)</VersionId>")
_LAST_MODIFIED = re.compile(r"<Last-Modified>([^<]+)</Last-Modified>")
_NEXT = re.compile(r"<NextMarker>([^<]*)</NextMarker>")
_ENTITIES = {"&quot;": '"', "&apos;": "'"}


class AzureBucket:
    """One container; see bucket.Bucket. Safe for threads."""

    most_bytes = 5000 * MIB

    def __init__(self, settings: BackEndSettings, clock: Clock) -> None:
        self._account = settings.account
        self._container = settings.container
        key = settings.secrets.get("AZURE_STORAGE_KEY", "")
        try:
            self._key = base64.b64decode(key, validate=True)
        except ValueError as error:
            raise Invalid("AZURE_STORAGE_KEY is not base64") from error
        if not self._key:
            raise Invalid(
                "there is no key for the storage account",
                hint="Set AZURE_STORAGE_KEY where the store runs, or in --back-end-secrets.",
            )
        self._clock = clock
        self._base = settings.endpoint or f"https://{self._account}.blob.core.windows.net"
        self._client = httpx.Client(timeout=_TIMEOUT, limits=httpx.Limits(max_connections=32))

    def close(self) -> None:
        """Return every connection."""
        self._client.close()

    def why_no_locks(self) -> str:
        """Get Container Properties says whether versions can have policies."""
        try:
            found = self._ask("GET", "", {"restype": "container"})
        except (ObjectMissing, StoreDenied) as error:
            raise Precondition(
                f"the container {self._container} cannot be used: {error.message}",
                hint="Make it, and give the store the key of its account.",
            ) from error
        if found.headers.get(_WORM, "").lower() == "true":
            return ""
        return f"the container {self._container} has no version-level immutability"

    def put(self, key: str, source: Path, digest: str, keep: NativeLock) -> str:
        """Put Blob. Its MD5 goes with it, and is checked there."""
        with source.open("rb") as file:
            headers = {
                "x-ms-blob-type": "BlockBlob",
                "if-none-match": "*",
                "content-md5": md5_of(source),
                "content-length": str(source.stat().st_size),
                _DIGEST: digest,
                **_policy(keep),
                **({_HELD: "true"} if keep.is_held else {}),
            }
            told = self._ask("PUT", key, {}, headers, content=file)
        return str(told.headers.get("x-ms-version-id", ""))

    def versions(self, key: str) -> list[str]:
        """List Blobs with their versions; where there are none, the blob itself."""
        return [each.version for each in self.everything(key) if each.key == key]

    def everything(self, prefix: str) -> Iterator[Listed]:
        """List Blobs, with their versions where there are any: a version's id is its time."""
        yield from sorted(self._listed(prefix), key=lambda each: each.version, reverse=True)

    def _listed(self, prefix: str) -> Iterator[Listed]:
        query = {"restype": "container", "comp": "list", "include": "versions", "prefix": prefix}
        marker = ""
        while True:
            text = self._ask("GET", "", query | ({"marker": marker} if marker else {})).text
            for blob in _BLOB.findall(text):
                version = _VERSION_ID.search(blob)
                put_at = Instant(parsedate_to_datetime(_one(_LAST_MODIFIED, blob)))
                name = unescape(_one(_NAME, blob), _ENTITIES)
                yield Listed(name, version.group(1) if version else "", put_at)
            following = _NEXT.search(text)
            if following is None or not following.group(1):
                return
            marker = unescape(following.group(1))

    def look(self, key: str, version: str) -> Stored:
        """Get Blob Properties."""
        found = self._ask("HEAD", key, _of(version)).headers
        until = None
        if text := found.get(_UNTIL):
            until = Instant(parsedate_to_datetime(text))
        is_final = found.get(_MODE, "").lower() == "locked"
        lock = NativeLock(until, is_final, found.get(_HELD, "").lower() == "true")
        return Stored(int(found["content-length"]), found.get(_DIGEST, ""), lock)

    def open(self, key: str, version: str, offset: int, length: int | None) -> Reading:
        """Get Blob."""
        if length is None and not offset:
            answer = self._ask("GET", key, _of(version), stream=True)
            return _AzureReading(answer, int(answer.headers["content-length"]))
        end = "" if length is None else str(offset + length - 1)
        headers = {"range": f"bytes={offset}-{end}"}
        answer = self._ask("GET", key, _of(version), headers, stream=True)
        return _AzureReading(answer, int(answer.headers["content-range"].rpartition("/")[2]))

    def keep(self, key: str, version: str, now: NativeLock, wanted: NativeLock) -> None:
        """Set Blob Legal Hold, Set Blob Immutability Policy."""
        if wanted.is_held != now.is_held:
            held = {_HELD: "true" if wanted.is_held else "false", "content-length": "0"}
            self._ask("PUT", key, {"comp": "legalhold", **_of(version)}, held)
        if not now.covers(NativeLock(wanted.until, wanted.is_final)) and wanted.until:
            until = wanted.until if now.until is None else max(wanted.until, now.until)
            policy = _policy(NativeLock(until, wanted.is_final or now.is_final))
            query = {"comp": "immutabilityPolicies", **_of(version)}
            self._ask("PUT", key, query, policy | {"content-length": "0"})

    def delete(self, key: str, version: str, lock: NativeLock) -> None:
        """The policy, where one may go; the blob, which leaves its version behind; and that."""
        if lock.until is not None:
            self._gone("DELETE", key, {"comp": "immutabilityPolicies", **_of(version)})
        self._gone("DELETE", key, {})
        if version:
            self._gone("DELETE", key, _of(version))

    def _gone(self, method: str, key: str, query: dict[str, str]) -> None:
        try:
            self._ask(method, key, query)
        except ObjectMissing:
            return

    def _ask(
        self,
        method: str,
        key: str,
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        *,
        content: Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        path = "/".join(filter(None, [urlsplit(self._base).path, self._container, quote(key)]))
        path = f"/{path.lstrip('/')}"
        sent = {"x-ms-date": http_date(self._clock.now()), "x-ms-version": _VERSION}
        sent |= headers or {}
        sent["authorization"] = shared_key(
            self._key, account=self._account, method=method, path=path, query=query, headers=sent
        )
        place = urlsplit(self._base)
        url = httpx.URL(f"{place.scheme}://{place.netloc}{path}", params=query or None)
        request = self._client.build_request(method, url, headers=sent, content=content)
        try:
            answer = self._client.send(request, stream=stream)
            if not answer.is_success:
                answer.read()
                answer.close()
        except httpx.HTTPError as error:
            raise _away(type(error).__name__) from error
        if not answer.is_success:
            _raise(answer, key or self._container)
        return answer


class _AzureReading:
    """See back_end.Reading."""

    def __init__(self, answer: httpx.Response, size: int) -> None:
        self.size = size
        self._answer = answer
        self._pieces = answer.iter_raw(_PIECE)
        self._left = b""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        try:
            while len(self._left) < size and (piece := next(self._pieces, b"")):
                self._left += piece
        except httpx.HTTPError as error:
            raise _away(type(error).__name__) from error
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()


def _one(what: re.Pattern[str], text: str) -> str:
    found = what.search(text)
    if found is None:
        raise _away("its listing cannot be read")
    return found.group(1)


def _of(version: str) -> dict[str, str]:
    return {"versionid": version} if version else {}


def _policy(keep: NativeLock) -> dict[str, str]:
    if keep.until is None:
        return {}
    return {_UNTIL: http_date(keep.until), _MODE: "locked" if keep.is_final else "unlocked"}


def _raise(answer: httpx.Response, what: str) -> None:
    code = answer.headers.get("x-ms-error-code", "")
    status = answer.status_code
    if code == "BlobAlreadyExists" or status == HTTPStatus.PRECONDITION_FAILED:
        raise ObjectExists(f"the container holds {what} already")
    if status == HTTPStatus.NOT_FOUND:
        raise ObjectMissing(f"the container has no {what} ({code})")
    if status in {401, 403} or code in {"BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"}:
        raise StoreDenied(
            f"the storage account refuses {what} ({code or status})",
            hint="See that the account's key is right, and what keeps the blob.",
        )
    raise _away(f"{what}: {status} {code}")


def _away(why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the storage account does not do it: {why}",
        hint="See whether the store's host can reach it, and what the provider says of it.",
    )
