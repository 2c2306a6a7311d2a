"""The verbs on containers and on the account, and the private one that re-reads."""

from dataclasses import replace
from typing import Any

import msgspec
import structlog
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.storage.basis.blob import Asked, Finding
from strongroom.storage.basis.names import checked_blob
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.door.answer import Answer
from strongroom.storage.door.body import Work
from strongroom.storage.door.documents import blob_listing, container_listing, read_marker
from strongroom.storage.door.facts import container_headers, read_metadata
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request

MAX_RESULTS = 5000
MAX_NAMES_BYTES = 4 << 20
MAX_NAMES = 1000
_INCLUDES = frozenset(("", "metadata", "uncommittedblobs", "deleted", "snapshots", "tags"))
_log = structlog.get_logger("strongroom.storage")


class _Names(msgspec.Struct, forbid_unknown_fields=True):
    names: list[str]


class ContainerVerbs:
    """Create, look, list, delete, re-read."""

    def __init__(self, store: BlobStore, work: Work) -> None:
        self._store = store
        self._work = work

    async def create_container(self, request: Request, grant: Grant) -> Answer:
        """Create Container."""
        grant.need_account_key()
        if request.headers.get("x-ms-blob-public-access"):
            raise Invalid("nothing here is public", code="UnsupportedHeader")
        name = container_of(request)
        metadata = read_metadata(request)
        container = await self._work.run(self._store.create_container, name, metadata)
        _log.info("container_created", container=name, caller=grant.caller, request_id=request.id)
        return Answer(201, container_headers(container))

    async def get_container(self, request: Request, grant: Grant) -> Answer:
        """Get Container Properties."""
        grant.need_account_key()
        container = await self._work.run(self._store.container, container_of(request))
        return Answer(200, container_headers(container))

    async def delete_container(self, request: Request, grant: Grant) -> Answer:
        """Delete Container: an empty one."""
        grant.need_account_key()
        name = container_of(request)
        await self._work.run(self._store.delete_container, name)
        _log.info("container_deleted", container=name, caller=grant.caller, request_id=request.id)
        return Answer(202)

    async def list_containers(self, request: Request, grant: Grant) -> Answer:
        """List Containers."""
        grant.need_account_key()
        asked = _asked(request)
        wanted = replace(asked, limit=asked.limit + 1)
        found = await self._work.run(self._store.containers, wanted)
        shown, rest = found[: asked.limit], found[asked.limit :]
        body = container_listing(shown, _echo(request), shown[-1].name if rest else None)
        return Answer(200, {"content-type": "application/xml"}, body)

    async def list_blobs(self, request: Request, grant: Grant) -> Answer:
        """List Blobs: prefix, delimiter, marker, maxresults, include=metadata."""
        grant.need("l")
        name = container_of(request)
        includes = set(request.query.get("include", "").split(","))
        if not includes <= _INCLUDES:
            raise Invalid("an include is unknown", code="InvalidQueryParameterValue")
        page = await self._work.run(self._store.page, name, _asked(request))
        body = await self._work.run(
            blob_listing,
            name,
            page,
            _echo(request),
            with_metadata="metadata" in includes,
        )
        return Answer(200, {"content-type": "application/xml"}, body)

    async def digests(self, request: Request, grant: Grant) -> Answer:
        """Re-read the named blobs and say what is there now. Ours, not Azure's.

        x-ms-found-since: those that were found whole since then are not read once more.
        """
        grant.need_account_key()
        container = container_of(request)
        names = read_names(await self._work.collect(request, MAX_NAMES_BYTES))
        checked = [checked_blob(name) for name in names]
        since = _since(request.headers.get("x-ms-found-since", ""))
        findings = await self._work.run(self._store.looking.digests, container, checked, since)
        reply = {"digests": [_told(finding) for finding in findings]}
        return Answer(200, {"content-type": "application/json"}, msgspec.json.encode(reply))

    async def findings(self, request: Request, grant: Grant) -> Answer:
        """Blobs whose bytes the scrub found to be others than were written. Ours, not Azure's."""
        grant.need_account_key()
        names = await self._work.run(self._store.looking.damaged, container_of(request))
        return Answer(
            200, {"content-type": "application/json"}, msgspec.json.encode({"damaged": names})
        )


def read_names(body: bytes) -> list[str]:
    """Names of which several are asked for at once. Raises Invalid."""
    try:
        names = msgspec.json.decode(body, type=_Names).names
    except msgspec.MsgspecError as error:
        raise Invalid('the body must be {"names": [...]}') from error
    if len(names) > MAX_NAMES:
        raise Invalid(f"at most {MAX_NAMES} names can be asked for at once")
    return names


def _since(text: str) -> Instant | None:
    try:
        return Instant.parse_iso(text) if text else None
    except ValueError as error:
        raise Invalid("x-ms-found-since must be an instant, as 2026-01-31T23:59:59Z") from error


def container_of(request: Request) -> str:
    """The container that a request is about. Raises Invalid."""
    if request.container is None:
        raise Invalid("the request names no container", code="InvalidUri")
    return request.container


def _asked(request: Request) -> Asked:
    query = request.query
    text = query.get("maxresults", "") or str(MAX_RESULTS)
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) == 0:
        raise Invalid("maxresults is not a number", code="OutOfRangeQueryParameterValue")
    return Asked(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=read_marker(query.get("marker", "")),
        start=query.get("startfrom", ""),
        limit=min(int(text), MAX_RESULTS),
    )


def _echo(request: Request) -> dict[str, str]:
    names = ("Prefix", "Marker", "MaxResults", "Delimiter")
    return {name: request.query[name.lower()] for name in names if name.lower() in request.query}


def _told(finding: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {"name": finding.name}
    if finding.state == "missing":
        return told | {"missing": True}
    if finding.state == "corrupt":
        told["corrupt"] = True
    if finding.blake3 is not None:
        told |= {"size": finding.size, "blake3": finding.blake3.hex()}
    return told
