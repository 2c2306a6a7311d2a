"""A container by its URL and a SAS as a target: Azure's own, or a storage endpoint of ours.

Put Block sends what is dumped as it comes, Put Block List with `If-None-Match: *` makes it a blob:
before it there is nothing, and what has the name already stays. Each blob names its job, so that a
later attempt knows it. Source: Microsoft, "Blob service REST API".
"""

import base64
import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from strongroom.agent.backoff import pause_before
from strongroom.agent.files.parts_upload import PartsUpload
from strongroom.agent.files.targets import PIECE, Bytes, Sink
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import (
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    TargetNotEmpty,
    TargetRefused,
    VaultError,
)
from strongroom.model.seams import Chance

_VERSION = "2021-12-02"
_TRIES = 6
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 120.0  # without a byte
_RANGE = 8 << 20
_AGAIN = frozenset((408, 429, 500, 502, 503, 504))
_TAKEN = frozenset(("BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite"))
_NO_ETAG = '"0x0"'
_JOB = "x-ms-meta-strongroomjob"
_SIGNATURE = "files"  # the scope that the order's signature comes under


class AzureTarget:
    """One job's blobs, below one URL."""

    directory: Path | None = None

    def __init__(
        self, held: HeldLease, url: str, job: str, chance: Chance, *, tries: int = _TRIES
    ) -> None:
        """The signature comes with the lease, under the scope "files"."""
        self._tries = tries
        self._held = held
        self._url = url
        self._job = job
        self._chance = chance
        held.sas(_SIGNATURE)
        self._http = httpx.Client(
            verify=_trusted(held, url),
            follow_redirects=False,
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS),
        )

    def close(self) -> None:
        """Return every connection."""
        self._http.close()

    @property
    def place(self) -> str:
        """The URL, without the signature."""
        return self._url

    def claim(self) -> None:
        """Nothing to do: a name that is taken is found when it is asked for."""

    def settle(self) -> None:
        """Nothing to do: each blob is there whole."""

    def holds(self, name: str) -> bool:
        """Whether a blob of this job lies there. Raises TargetNotEmpty for somebody else's."""
        answer = self._send("HEAD", name)
        if answer.status_code == 404:
            self._need_container(answer)
            return False
        self._check(answer, name)
        if answer.headers.get(_JOB) != self._job:
            raise TargetNotEmpty(
                f"{self._url} holds {name} already",
                hint="Give another filePrefix (--prefix) or container: nothing is written over.",
            )
        return True

    def try_write(self, name: str) -> None:
        """Whether a blob could be written, without one: on a condition that none meets.

        Raises StoreDenied, TargetRefused where there is no container, StoreUnavailable.
        """
        headers = {"If-Match": _NO_ETAG, "x-ms-blob-type": "BlockBlob"}
        answer = self._send("PUT", name, None, b"", headers)
        if answer.status_code == 404:
            self._need_container(answer)
        with suppress(ObjectExists):  # the condition was not met: it got as far as that
            self._check(answer, name)

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """A blob, there when the context ends well. Raises ObjectExists, StoreError."""
        blocks: list[str] = []

        def send(number: int, part: bytearray) -> None:
            block = base64.b64encode(b"%08d" % number).decode()
            query = {"comp": "block", "blockid": block}
            self._check(self._send("PUT", name, query, part), name)
            blocks.append(block)

        upload = PartsUpload(send)
        yield upload.write
        headers = {"If-None-Match": "*", _JOB: self._job}
        if not blocks:
            headers["x-ms-blob-type"] = "BlockBlob"
            self._check(self._send("PUT", name, None, upload.last(), headers), name)
            return
        upload.end()
        body = "".join(f"<Uncommitted>{block}</Uncommitted>" for block in blocks)
        text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{body}</BlockList>'
        query = {"comp": "blocklist"}
        self._check(self._send("PUT", name, query, text.encode(), headers), name)

    def read(self, name: str) -> Iterator[bytes]:
        """The blob, a range after the other. Raises ObjectMissing, StoreError."""
        answer = self._send("HEAD", name)
        if answer.status_code == 404:
            self._need_container(answer)
            raise ObjectMissing(f"{self._url} holds no {name}")
        self._check(answer, name)
        size = int(answer.headers["content-length"])
        for start in range(0, size, _RANGE):
            wanted = {"x-ms-range": f"bytes={start}-{min(start + _RANGE, size) - 1}"}
            found = self._send("GET", name, headers=wanted)
            self._check(found, name)
            yield found.content

    def _send(
        self,
        method: str,
        name: str,
        query: Mapping[str, str] | None = None,
        body: Bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request, made again while another try may go through. Every one is safe twice."""
        for attempt in range(self._tries):
            self._held.check()
            signed = "&".join(
                (*(f"{k}={quote(v, safe='')}" for k, v in (query or {}).items()), self._sas())
            )
            try:
                answer = self._http.request(
                    method,
                    f"{self._url}/{quote(name)}?{signed}",
                    headers={"x-ms-version": _VERSION, **_about(method, body), **(headers or {})},
                    content=_slices(body) if method == "PUT" else None,
                )
            except httpx.TransportError as error:
                if attempt == self._tries - 1:
                    raise _unreachable(self._url, type(error).__name__) from None
            else:
                if answer.status_code not in _AGAIN or attempt == self._tries - 1:
                    return answer
            self._held.pause(pause_before(attempt, self._chance))
        raise AssertionError

    def _sas(self) -> str:
        return self._held.sas(_SIGNATURE).lstrip("?")

    def _need_container(self, answer: httpx.Response) -> None:
        if answer.headers.get("x-ms-error-code") in {"ContainerNotFound", "ResourceNotFound"}:
            raise TargetRefused(
                f"there is no container {self._url}", hint="Make it, or name one that is there."
            )

    def _check(self, answer: httpx.Response, name: str) -> None:
        if answer.status_code >= 300:
            raise _error(answer, self._url, name)


def _trusted(held: HeldLease, url: str) -> ssl.SSLContext:
    """The authorities that everybody knows; for a storage endpoint of ours its own one too."""
    context = ssl.create_default_context()
    ours = urlsplit(held.access.container_url)
    if held.access.ca and (ours.scheme, ours.netloc) == urlsplit(url)[:2]:
        context.load_verify_locations(cadata=held.access.ca)
    return context


def _about(method: str, body: Bytes) -> dict[str, str]:
    """Of what is put: its length, and a digest for the service to compare."""
    if method != "PUT":
        return {}
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return {"Content-Length": str(len(body)), "Content-MD5": base64.b64encode(digest).decode()}


def _slices(body: Bytes) -> Iterator[bytes]:
    """The body piece by piece: it is not copied as a whole."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE):
        yield bytes(view[start : start + PIECE])


def _error(answer: httpx.Response, url: str, name: str) -> VaultError:
    """Without a word of the request, which carries the signature."""
    code, status = answer.headers.get("x-ms-error-code", ""), answer.status_code
    if status == 412 or code in _TAKEN:
        return ObjectExists(f"{url} holds {name} already")
    if status in {401, 403}:
        return StoreDenied(
            f"{url} refuses the signature ({code or status}) for {name}",
            hint="Make a SAS with read, create and write that lasts as long as the restore.",
        )
    if status == 404:
        return TargetRefused(
            f"{url} cannot be written to ({code or status})",
            hint="See that the container is there.",
        )
    if status == 507:
        return StoreFull(f"{url} is full", hint="Free space there, or name another place.")
    if status in _AGAIN:
        return _unreachable(url, f"it answers {status}")
    return TargetRefused(
        f"{url} refuses {name}: {status} {code}", hint="See that it is a container of block blobs."
    )


def _unreachable(url: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{url} cannot be reached: {why}", hint="See that the agent's host can reach it."
    )
