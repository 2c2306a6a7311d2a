"""What a second endpoint asks before it pulls: for the account key, and for the reader key.

    GET /?comp=inventory                                  {"containers": [NAME, ...]}
    GET /container?restype=container&comp=book            immutability, locks, holds
    GET /container?restype=container&comp=inventory       {"blobs": [...], "next": MARKER}

`marker` goes on where a page ended. Ours, not Azure's: a listing of Azure's has no BLAKE3.
"""

import base64
from typing import Any

import msgspec

from strongroom.storage.basis.blob import Asked
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.door.answer import Answer
from strongroom.storage.door.body import Work
from strongroom.storage.door.documents import read_marker
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request
from strongroom.storage.verbs.container_verbs import container_of

_PAGE = 2000
_MOST_CONTAINERS = 1_000_000


class InventoryVerbs:
    """Of one store."""

    def __init__(self, store: BlobStore, work: Work) -> None:
        self._store = store
        self._work = work

    async def containers(self, request: Request, grant: Grant) -> Answer:
        """Every container's name."""
        del request
        grant.need_to_read_all()
        found = await self._work.run(self._store.containers, Asked(limit=_MOST_CONTAINERS))
        return _json({"containers": [each.name for each in found]})

    async def book(self, request: Request, grant: Grant) -> Answer:
        """Until when what is kept, and by whom."""
        grant.need_to_read_all()
        found = await self._work.run(self._store.locks.book, container_of(request))
        return _json(
            {
                "state": found.immutability.state,
                "days": found.immutability.days,
                "locks": {name: until.format_iso() for name, until in found.locks.items()},
                "holds": found.holds,
            }
        )

    async def blobs(self, request: Request, grant: Grant) -> Answer:
        """A page of a container's blobs, with the BLAKE3 of what was written."""
        grant.need_to_read_all()
        after = read_marker(request.query.get("marker", ""))
        asked = Asked(after=after, limit=_PAGE)
        page = await self._work.run(self._store.page, container_of(request), asked)
        blobs = [
            {"name": blob.name, "size": blob.size, "blake3": blob.blake3.hex()}
            for blob in page.blobs
        ]
        following = base64.urlsafe_b64encode((page.after or "").encode()).decode()
        return _json({"blobs": blobs, "next": following})


def _json(told: dict[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, msgspec.json.encode(told))
