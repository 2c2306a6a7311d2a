"""The verbs on a container's stored access policies: for the account key alone."""

import structlog

from strongroom.model.errors import Invalid
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.door.acl_document import identifiers_document, read_identifiers
from strongroom.storage.door.answer import Answer
from strongroom.storage.door.body import Work
from strongroom.storage.door.facts import container_headers
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request
from strongroom.storage.verbs.container_verbs import container_of

MAX_ACL_BYTES = 1 << 20
# Conditions and public access: said no to, rather than not done.
_REFUSED = (
    *("x-ms-blob-public-access", "x-ms-lease-id", "if-modified-since", "if-unmodified-since"),
    *("if-match", "if-none-match"),
)
_log = structlog.get_logger("strongroom.storage")


class AccessVerbs:
    """Get and set the list, as Azure; give and withdraw one identifier, as only we do."""

    def __init__(self, store: BlobStore, work: Work) -> None:
        self._store = store
        self._work = work

    async def get_acl(self, request: Request, grant: Grant) -> Answer:
        """Get Container ACL."""
        grant.need_account_key()
        name = container_of(request)
        found = await self._work.run(self._store.identifiers.of, name)
        headers = container_headers(await self._work.run(self._store.container, name))
        shown = headers | {"content-type": "application/xml"}
        return Answer(200, shown, identifiers_document(found))

    async def set_acl(self, request: Request, grant: Grant) -> Answer:
        """Set Container ACL: the whole list; what is not in it is withdrawn."""
        grant.need_account_key()
        for header in _REFUSED:
            if header in request.headers:
                raise Invalid(f"the header {header} is not supported", code="UnsupportedHeader")
        name = container_of(request)
        wanted = read_identifiers(await self._work.collect(request, MAX_ACL_BYTES))
        await self._work.run(self._store.identifiers.replace, name, wanted)
        _log.info(
            "access_policies_set",
            container=name,
            identifiers=[each.id for each in wanted],
            caller=grant.caller,
            request_id=request.id,
        )
        return Answer(200, container_headers(await self._work.run(self._store.container, name)))

    async def give_identifier(self, request: Request, grant: Grant) -> Answer:
        """Add one, with a quota of bytes. Ours, not Azure's."""
        grant.need_account_key()
        name, identifier = container_of(request), request.query.get("id", "")
        quota = _bytes(request.query.get("quota", ""))
        await self._work.run(self._store.identifiers.give, name, identifier, quota)
        _log.info(
            "identifier_given",
            container=name,
            identifier=identifier,
            quota=quota,
            caller=grant.caller,
            request_id=request.id,
        )
        return Answer(201)

    async def withdraw_identifier(self, request: Request, grant: Grant) -> Answer:
        """Take one away; one that is gone already is as good. Ours, not Azure's."""
        grant.need_account_key()
        name, identifier = container_of(request), request.query.get("id", "")
        was_there = await self._work.run(self._store.identifiers.withdraw, name, identifier)
        _log.info(
            "identifier_withdrawn",
            container=name,
            identifier=identifier,
            was_there=was_there,
            caller=grant.caller,
            request_id=request.id,
        )
        return Answer(202)


def _bytes(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Invalid("the quota is not a number of bytes", code="InvalidQueryParameterValue")
    return int(text)
