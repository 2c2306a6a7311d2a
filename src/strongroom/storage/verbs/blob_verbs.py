"""The verbs on a blob. Each says first what it needs, then does it in a thread."""

import base64
import hashlib

import structlog

from strongroom.model.errors import Invalid, StoreUnavailable
from strongroom.storage.basis.blob import Blob
from strongroom.storage.basis.protocol import http_date
from strongroom.storage.blobs.blocks import checked_block_id
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.blobs.upload import Upload
from strongroom.storage.door.answer import Answer, Stretch
from strongroom.storage.door.body import Work, body_length
from strongroom.storage.door.conditions import judge_create, judge_delete, judge_read, wanted_range
from strongroom.storage.door.documents import read_block_list
from strongroom.storage.door.facts import (
    blob_headers,
    lock_headers,
    read_facts,
    read_md5,
    refuse_unsupported,
)
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request

MAX_BLOCK_LIST_BYTES = 8 << 20
MAX_RANGE_WITH_MD5 = 4 << 20
_LITTLE = 64 << 10
CREATE = "cw"  # nothing is ever overwritten, so either letter creates and no more
_log = structlog.get_logger("strongroom.storage")


class BlobVerbs:
    """Put, get, delete."""

    def __init__(self, store: BlobStore, work: Work) -> None:
        self._store = store
        self._work = work

    async def put_blob(self, request: Request, grant: Grant) -> Answer:
        """Put Blob: create, whole, or not at all."""
        grant.need(CREATE)
        refuse_unsupported(request)
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Invalid("only block blobs are kept here", code="InvalidHeaderValue")
        facts = read_facts(request, plain=True)
        sent, kept = read_md5(request, "content-md5"), read_md5(request, "x-ms-blob-content-md5")
        upload = await self._begin(request, grant, with_md5=bool(sent or kept))
        try:
            judge_create(request)
            await self._work.pour(request, upload.write)
            upload.check_md5(sent)
            upload.check_md5(kept)
            blob = await self._work.run(self._store.commit, upload, facts)
        finally:
            await self._work.run(upload.abandon)
        return _created(blob, request, grant)

    async def put_block(self, request: Request, grant: Grant) -> Answer:
        """Put Block: bytes that may become part of a blob that does not exist yet."""
        grant.need(CREATE)
        refuse_unsupported(request)
        block_id = checked_block_id(request.query.get("blockid", ""))
        sent = read_md5(request, "content-md5")
        upload = await self._begin(request, grant, with_md5=sent is not None)
        try:
            await self._work.pour(request, upload.write)
            upload.check_md5(sent)
            await self._work.run(self._store.stage, upload, block_id)
        finally:
            await self._work.run(upload.abandon)
        return Answer(201, {"x-ms-request-server-encrypted": "false", **_md5_header(sent)})

    async def put_block_list(self, request: Request, grant: Grant) -> Answer:
        """Put Block List: the blocks become a blob."""
        grant.need(CREATE)
        refuse_unsupported(request)
        container, name = _names(request)
        facts = read_facts(request, plain=False)
        sent = read_md5(request, "content-md5")
        kept = read_md5(request, "x-ms-blob-content-md5")
        await self._work.run(self._store.check_free, container, name)
        judge_create(request)
        body = await self._work.collect(request, MAX_BLOCK_LIST_BYTES)
        if sent is not None and hashlib.md5(body, usedforsecurity=False).digest() != sent:
            raise Invalid("the body is not what its MD5 says", code="Md5Mismatch")
        ids = await self._work.run(read_block_list, body)
        blob = await self._work.run(
            self._store.commit_blocks, container, name, ids, facts, kept, grant.identifier
        )
        return _created(blob, request, grant)

    async def get_blob(self, request: Request, grant: Grant) -> Answer:
        """Get Blob, all of it or a range."""
        grant.need("r")
        blob = await self._work.run(self._store.blob, *_names(request))
        headers = blob_headers(blob, grant.overrides)
        if judge_read(request, blob) == "not modified":
            return Answer(304, {"etag": blob.etag, "x-ms-error-code": "ConditionNotMet"})
        wanted = wanted_range(request, blob.size)
        if wanted is None:
            return Answer(200, headers, await self._work.run(self._body, blob))
        offset, length = wanted
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
        if "content-md5" in headers:
            headers["x-ms-blob-content-md5"] = headers.pop("content-md5")
        if request.headers.get("x-ms-range-get-content-md5", "").lower() != "true":
            body = await self._work.run(self._body, blob, offset, length)
            return Answer(206, headers, body)
        if length > MAX_RANGE_WITH_MD5:
            raise Invalid("a range with MD5 has at most 4 MiB", code="InvalidHeaderValue")
        body = await self._work.run(self._bytes, blob, offset, length)
        headers |= _md5_header(hashlib.md5(body, usedforsecurity=False).digest())
        return Answer(206, headers, body)

    def _body(self, blob: Blob, offset: int = 0, length: int | None = None) -> bytes | Stretch:
        """Little is read at once: each step of a thread takes as long as reading it."""
        length = blob.size if length is None else length
        if length <= _LITTLE:
            return self._bytes(blob, offset, length)
        return Stretch(self._store.open(blob, offset, length), length)

    def _bytes(self, blob: Blob, offset: int, length: int) -> bytes:
        reading, pieces = self._store.open(blob, offset, length), []
        try:
            while length:
                piece = reading.read(length)
                if not piece:
                    raise StoreUnavailable(
                        "a blob's file ended before the blob does",
                        hint="Ask again; if it stays so, verify the vault's storage.",
                    )
                pieces.append(piece)
                length -= len(piece)
        finally:
            reading.close()
        return b"".join(pieces)

    async def head_blob(self, request: Request, grant: Grant) -> Answer:
        """Get Blob Properties."""
        grant.need("r")
        blob = await self._work.run(self._store.blob, *_names(request))
        if judge_read(request, blob) == "not modified":
            return Answer(304, {"etag": blob.etag, "x-ms-error-code": "ConditionNotMet"})
        lock = await self._work.run(self._store.locks.of, blob.container, blob.name, blob.created)
        headers = blob_headers(blob, grant.overrides) | lock_headers(lock)
        return Answer(200, headers, length=blob.size)

    async def delete_blob(self, request: Request, grant: Grant) -> Answer:
        """Delete Blob: for the account key, or a SAS that says so."""
        grant.need("d")
        container, name = _names(request)
        blob = await self._work.run(self._store.blob, container, name)
        judge_delete(request, blob)
        await self._work.run(self._store.delete, container, name, grant.caller)
        _log.info(
            "blob_deleted",
            container=container,
            name=name,
            size=blob.size,
            blake3=blob.blake3.hex(),
            caller=grant.caller,
            request_id=request.id,
        )
        return Answer(202, {"x-ms-delete-type-permanent": "true"})

    async def _begin(self, request: Request, grant: Grant, *, with_md5: bool) -> Upload:
        container, name = _names(request)
        length = body_length(request, self._store.max_blob_bytes)
        return await self._work.run(
            self._store.begin,
            container,
            name,
            length,
            with_md5=with_md5,
            identifier=grant.identifier,
        )


def _names(request: Request) -> tuple[str, str]:
    if request.container is None or request.name is None:
        raise Invalid("the request names no blob", code="InvalidUri")
    return request.container, request.name


def _created(blob: Blob, request: Request, grant: Grant) -> Answer:
    _log.info(
        "blob_created",
        container=blob.container,
        name=blob.name,
        size=blob.size,
        blake3=blob.blake3.hex(),
        caller=grant.caller,
        request_id=request.id,
    )
    headers = {
        "etag": blob.etag,
        "last-modified": http_date(blob.created),
        "x-ms-request-server-encrypted": "false",
        "x-strongroom-blake3": blob.blake3.hex(),
    }
    return Answer(201, headers | _md5_header(blob.md5))


def _md5_header(digest: bytes | None) -> dict[str, str]:
    return {} if digest is None else {"content-md5": base64.b64encode(digest).decode()}
