"""The verbs of locks and holds: for the account key alone, and ours (docs/decisions/0013).

    PUT|GET    /container?restype=container&comp=immutability
    PUT             ...&comp=lock, a body {"names": [NAME, ...]}
    GET|DELETE      ...&comp=lock&prefix=NAME
    PUT|DELETE      ...&comp=hold&prefix=NAME&id=HOLD

NAME is a blob's, or a prefix that ends in `/`. Every answer is what the ledger holds, read again.
"""

from typing import Any, cast

import msgspec
import structlog

from strongroom.model.errors import Invalid
from strongroom.storage.blobs.store import BlobStore
from strongroom.storage.door.answer import Answer
from strongroom.storage.door.body import Work
from strongroom.storage.door.facts import MODE, UNTIL, read_until
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request
from strongroom.storage.ledger.locks import Immutability, Lock, State
from strongroom.storage.verbs.container_verbs import MAX_NAMES_BYTES, container_of, read_names

DAYS = "x-strongroom-days"
_log = structlog.get_logger("strongroom.storage")


class LockVerbs:
    """Of one store."""

    def __init__(self, store: BlobStore, work: Work) -> None:
        self._locks = store.locks
        self._work = work

    async def set_immutability(self, request: Request, grant: Grant) -> Answer:
        """Disabled, Unlocked or Locked, and how long each blob stays from its creation."""
        grant.need_account_key()
        name, days = container_of(request), request.headers.get(DAYS, "0")
        if not (days.isascii() and days.isdigit() and len(days) < 6):
            raise Invalid(f"{DAYS} is not a number of days", code="InvalidHeaderValue")
        wanted = Immutability(cast("State", request.headers.get(MODE, "")), int(days))
        await self._work.run(self._locks.set_immutability, name, wanted)
        self._tell("immutability_set", request, grant, state=wanted.state, days=wanted.days)
        return await self.get_immutability(request, grant)

    async def get_immutability(self, request: Request, grant: Grant) -> Answer:
        """As it is now."""
        grant.need_account_key()
        found = await self._work.run(self._locks.immutability, container_of(request))
        return _json({"state": found.state, "days": found.days})

    async def extend(self, request: Request, grant: Grant) -> Answer:
        """Lock until a date, or longer, all of them in one step."""
        grant.need_account_key()
        name = container_of(request)
        until = read_until(request)
        if until is None:
            raise Invalid(f"the header {UNTIL} is missing", code="MissingRequiredHeader")
        names = read_names(await self._work.collect(request, MAX_NAMES_BYTES))
        locks = await self._work.run(self._locks.extend, name, names, until)
        self._tell("locks_extended", request, grant, names=names, until=until.format_iso())
        return _json({"locks": [_told(lock) for lock in locks]})

    async def get(self, request: Request, grant: Grant) -> Answer:
        """What keeps a name."""
        grant.need_account_key()
        name, prefix = container_of(request), request.query.get("prefix", "")
        return _json(_told(await self._work.run(self._locks.of, name, prefix)))

    async def release(self, request: Request, grant: Grant) -> Answer:
        """Take a lock away, where the container is not Locked."""
        grant.need_account_key()
        name, prefix = container_of(request), request.query.get("prefix", "")
        await self._work.run(self._locks.release, name, prefix)
        self._tell("lock_released", request, grant)
        return await self.get(request, grant)

    async def hold(self, request: Request, grant: Grant) -> Answer:
        """A legal hold."""
        return await self._change(self._locks.hold, "hold_set", request, grant)

    async def lift(self, request: Request, grant: Grant) -> Answer:
        """The end of one."""
        return await self._change(self._locks.lift, "hold_lifted", request, grant)

    async def _change(self, act: Any, event: str, request: Request, grant: Grant) -> Answer:  # noqa: ANN401 - hold or lift
        grant.need_account_key()
        name, prefix = container_of(request), request.query.get("prefix", "")
        await self._work.run(act, name, prefix, request.query.get("id", ""))
        self._tell(event, request, grant, hold=request.query.get("id", ""))
        return await self.get(request, grant)

    def _tell(self, event: str, request: Request, grant: Grant, **more: object) -> None:
        _log.info(
            event,
            container=request.container,
            prefix=request.query.get("prefix", ""),
            caller=grant.caller,
            request_id=request.id,
            **more,
        )


def _told(lock: Lock) -> dict[str, Any]:
    until = None if lock.until is None else lock.until.format_iso()
    return {"state": lock.state, "until": until, "holds": lock.holds}


def _json(told: dict[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, msgspec.json.encode(told))
