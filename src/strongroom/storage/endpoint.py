"""The door: one ASGI callable. Reads the request, asks who it is, finds the verb, answers.

Order matters: names are checked before anything is opened, the credential before anything is
looked up, the permission before a byte of the body is read. Every refusal is a log line; no line
holds a signature, a query or a header.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from strongroom.model.errors import Invalid, Unauthenticated, VaultError
from strongroom.model.identities.sas import SAS_FIELDS, carries_sas
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance, Clock
from strongroom.storage.basis.protocol import API_VERSION
from strongroom.storage.basis.settings import Account
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.door.answer import Answer, Stretch, error_answer
from strongroom.storage.door.batch import Batch
from strongroom.storage.door.body import PIECE_BYTES, ClientGone, Work
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Receive, Request, read_request
from strongroom.storage.door.sas import check_sas
from strongroom.storage.door.shared_key import check_shared_key
from strongroom.storage.ledger.identifiers import Identifier
from strongroom.storage.upkeep.pulling import Pull
from strongroom.storage.upkeep.scrubbing import Scrub
from strongroom.storage.upkeep.upkeep import Upkeep
from strongroom.storage.verbs.access_verbs import AccessVerbs
from strongroom.storage.verbs.blob_verbs import BlobVerbs
from strongroom.storage.verbs.container_verbs import ContainerVerbs
from strongroom.storage.verbs.inventory_verbs import InventoryVerbs
from strongroom.storage.verbs.lock_verbs import LockVerbs

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Verb = Callable[[Request, Grant], Awaitable[Answer]]
# What is not known is refused: a parameter that is quietly ignored answers another question.
KNOWN_QUERY = frozenset(
    (
        *("restype", "comp", "timeout", "prefix", "delimiter", "marker", "maxresults"),
        *("include", "startfrom", "blockid", "id", "quota"),
    )
)
Key = tuple[str, str, str, str]  # method, level, restype, comp

_log = structlog.get_logger("strongroom.storage")


class Endpoint:
    """ASGI. Also understands `lifespan`, to let go of the threads and the store at the end."""

    def __init__(
        self, store: BlobStore, account: Account, clock: Clock, chance: Chance, work: Work
    ) -> None:
        self.scrub: Scrub | None = None  # ends before the store does
        self.pull: Pull | None = None  # so does this
        self.upkeep: Upkeep | None = None  # and this
        self._store = store
        self._account = account
        self._clock = clock
        self._chance = chance
        self._work = work
        self._verbs = _verb_table(BlobVerbs(store, work), ContainerVerbs(store, work))
        self._verbs |= _access_table(AccessVerbs(store, work))
        self._verbs |= _lock_table(LockVerbs(store, work))
        self._verbs |= _inventory_table(InventoryVerbs(store, work))
        batch = Batch(self._answer_part, work)
        self._verbs["POST", "container", "container", "batch"] = batch.submit

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, or the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            if scope["raw_path"] == b"/healthz":
                await self._send(scope, send, await self._health(), "")
            else:
                await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        request_id = str(uuid4(self._chance))
        try:
            answer = await self._answer(scope, receive, request_id)
        except ClientGone:
            return
        await self._send(scope, send, answer, request_id)

    async def _answer_part(self, scope: Mapping[str, Any], batch: Request) -> Answer:
        """One delete of a batch: as if it had come alone, but nothing else than a delete."""
        return await self._answer(scope, batch.receive, batch.id)

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, request_id: str) -> Answer:
        grant: Grant | None = None
        try:
            request = read_request(
                scope, receive, request_id=request_id, account=self._account.name
            )
            grant = await self._authenticate(request)
            return await self._verb(request)(request, grant)
        except ClientGone:
            raise
        except VaultError as error:
            answer = error_answer(error, request_id, self._clock.now())
            self._tell(scope, error, answer, request_id, grant)
            return answer
        except Exception:  # noqa: BLE001 - a bug: this door is where it becomes a 500
            _log.exception("bug", request_id=request_id, method=scope["method"])
            bug = VaultError("the store failed; its log knows more", code="InternalError")
            return error_answer(bug, request_id, self._clock.now())

    async def _authenticate(self, request: Request) -> Grant:
        with_key = "authorization" in request.headers
        with_sas = carries_sas(request.query)
        if with_key and with_sas:
            raise Invalid("two credentials in one request", code="InvalidAuthenticationInfo")
        if with_key:
            return check_shared_key(request, self._account, self._clock.now())
        if with_sas:
            return await check_sas(request, self._account, self._clock.now(), self._identifier)
        raise Unauthenticated("no credential was given", code="NoAuthenticationInformation")

    async def _identifier(self, container: str, identifier: str) -> Identifier | None:
        return await self._work.run(self._store.identifiers.find, container, identifier)

    def _verb(self, request: Request) -> Verb:
        query = request.query
        if unknown := sorted(set(query) - KNOWN_QUERY - SAS_FIELDS):
            raise Invalid(
                f"the query parameter {unknown[0][:40]} is not supported",
                code="UnsupportedQueryParameter",
            )
        kind = (request.level, query.get("restype", ""), query.get("comp", ""))
        verb = self._verbs.get((request.method, *kind))
        if verb is not None:
            return verb
        if any(key[1:] == kind for key in self._verbs):
            raise Invalid("this verb is not for this resource", code="UnsupportedHttpVerb")
        raise Invalid("this operation is not supported", code="UnsupportedQueryParameter")

    async def _health(self) -> Answer:
        free = await self._work.run(self._store.space.free)
        reserve = self._store.space.reserve_bytes
        facts = {"status": "ok" if free > reserve else "full", "freeBytes": free}
        pulled = {} if self.pull is None else {"pull": self.pull.told()}
        back = {} if self.upkeep is None else {"backEnd": await self._work.run(self.upkeep.told)}
        body = msgspec.json.encode(facts | {"reserveBytes": reserve} | pulled | back)
        return Answer(200, {"content-type": "application/json"}, body)

    def _tell(
        self,
        scope: Mapping[str, Any],
        error: VaultError,
        answer: Answer,
        request_id: str,
        grant: Grant | None,
    ) -> None:
        client = scope.get("client") or ("", 0)
        _log.warning(
            "request_refused",
            code=answer.headers["x-ms-error-code"],
            status=answer.status,
            reason=error.message,
            method=scope["method"],
            path=bytes(scope["raw_path"])[:300].decode("ascii", "backslashreplace"),
            caller=grant.caller if grant else "unknown",
            client=client[0],
            request_id=request_id,
        )

    async def _send(
        self, scope: Mapping[str, Any], send: Send, answer: Answer, request_id: str
    ) -> None:
        headers = {
            "server": "strongroom",
            "x-ms-version": API_VERSION,
            "x-ms-request-id": request_id,
            **answer.headers,
            "content-length": str(answer.content_length),
        }
        for name, value in scope["headers"]:
            if name == b"x-ms-client-request-id" and len(value) <= 1024:
                headers["x-ms-client-request-id"] = value.decode("latin-1")
        if answer.status == 304:
            del headers["content-length"]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        body = answer.body
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": raw})
            if isinstance(body, Stretch):
                await self._send_stretch(send, body)
            else:
                shown = b"" if scope["method"] == "HEAD" else body
                await send({"type": "http.response.body", "body": shown})
        finally:
            if isinstance(body, Stretch):
                await self._work.run(body.reading.close)

    async def _send_stretch(self, send: Send, stretch: Stretch) -> None:
        """Reads the next piece while the last one is sent. A blob that ends early breaks off."""
        left = stretch.length
        reading = self._read(stretch, left)
        try:
            while left:
                piece = await reading
                if not piece:
                    _log.error("blob_shorter_than_recorded")
                    return
                left -= len(piece)
                if left:
                    reading = self._read(stretch, left)
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
            await reading
        except VaultError as error:
            _log.error("blob_broke_off", reason=error.message)
            return
        finally:
            await asyncio.wait([reading])

    def _read(self, stretch: Stretch, left: int) -> asyncio.Future[bytes]:
        read = self._work.run(stretch.reading.read, min(PIECE_BYTES, left))
        return asyncio.ensure_future(read)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._store.looking.stop()
                for thread in (self.scrub, self.pull, self.upkeep):
                    if thread is not None:
                        thread.stop()
                self._work.close()
                self._store.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _verb_table(blobs: BlobVerbs, containers: ContainerVerbs) -> dict[Key, Verb]:
    return {
        ("GET", "account", "", "list"): containers.list_containers,
        ("PUT", "container", "container", ""): containers.create_container,
        ("GET", "container", "container", ""): containers.get_container,
        ("HEAD", "container", "container", ""): containers.get_container,
        ("GET", "container", "container", "metadata"): containers.get_container,
        ("HEAD", "container", "container", "metadata"): containers.get_container,
        ("DELETE", "container", "container", ""): containers.delete_container,
        ("GET", "container", "container", "list"): containers.list_blobs,
        ("POST", "container", "container", "digests"): containers.digests,
        ("GET", "container", "container", "findings"): containers.findings,
        ("PUT", "blob", "", ""): blobs.put_blob,
        ("PUT", "blob", "", "block"): blobs.put_block,
        ("PUT", "blob", "", "blocklist"): blobs.put_block_list,
        ("GET", "blob", "", ""): blobs.get_blob,
        ("HEAD", "blob", "", ""): blobs.head_blob,
        ("GET", "blob", "", "metadata"): blobs.head_blob,
        ("HEAD", "blob", "", "metadata"): blobs.head_blob,
        ("DELETE", "blob", "", ""): blobs.delete_blob,
    }


def _access_table(access: AccessVerbs) -> dict[Key, Verb]:
    return {
        ("GET", "container", "container", "acl"): access.get_acl,
        ("HEAD", "container", "container", "acl"): access.get_acl,
        ("PUT", "container", "container", "acl"): access.set_acl,
        ("PUT", "container", "container", "identifier"): access.give_identifier,
        ("DELETE", "container", "container", "identifier"): access.withdraw_identifier,
    }


def _inventory_table(inventory: InventoryVerbs) -> dict[Key, Verb]:
    return {
        ("GET", "account", "", "inventory"): inventory.containers,
        ("GET", "container", "container", "book"): inventory.book,
        ("GET", "container", "container", "inventory"): inventory.blobs,
    }


def _lock_table(locks: LockVerbs) -> dict[Key, Verb]:
    return {
        ("GET", "container", "container", "immutability"): locks.get_immutability,
        ("PUT", "container", "container", "immutability"): locks.set_immutability,
        ("GET", "container", "container", "lock"): locks.get,
        ("PUT", "container", "container", "lock"): locks.extend,
        ("DELETE", "container", "container", "lock"): locks.release,
        ("PUT", "container", "container", "hold"): locks.hold,
        ("DELETE", "container", "container", "hold"): locks.lift,
    }
