"""A second person's approval: asked for in the transaction of the protected act, spent with it.

A use case opens its transaction by `writing` and calls `require_approval` before it changes
anything. Where no approval is there the transaction leaves nothing; the refusal, and the request
that now waits for somebody else, are written behind it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.identities import role_assignments
from strongroom.catalog.oversight import approvals, audit
from strongroom.catalog.oversight.approvals import GRANTED, USED, WAITING
from strongroom.catalog.resources import guards
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.errors import Forbidden
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller
from strongroom.model.ids import uuid4
from strongroom.model.resources import guard
from strongroom.model.resources.guard import Guarded

log = structlog.get_logger()
NEEDED = "UserErrorMultiUserAuthorizationRequired"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants to do: the operation, to what, and what exactly, in words."""

    operation: Guarded
    scope: str
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What an approval is bound to."""
        return guard.digest_of(self.operation, self.scope, self.asked)


class Unapproved(Exception):
    """Carries what was asked out of a transaction that leaves nothing.

    `known`: the id of an approval that is not good yet. `granted`: a new one of that kind, as its
    columns are, to be written behind the transaction.
    """

    def __init__(
        self,
        caller: Caller,
        guard_row: sa.RowMapping,
        ask: Ask,
        why: str,
        *,
        known: str = "",
        granted: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(why)
        self.caller, self.guard, self.ask, self.why = caller, guard_row, ask, why
        self.known, self.granted = known, granted


@contextmanager
def writing(control: Control) -> Iterator[sa.Connection]:
    """A transaction of a use case that may need an approval. Raises Forbidden without one."""
    try:
        with control.database.writing() as connection:
            yield connection
    except Unapproved as refused:
        raise _refuse(control, refused) from None


def require_approval(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    vault_id: str,
    ask: Ask,
) -> None:
    """Go on when the vault's guard does not protect this, or another principal has approved it.

    An approval is for this caller, this operation on this scope, and exactly what is asked; it
    is good once, from the end of the guard's delay until it expires, and only while whoever gave
    it may approve. It is spent in this transaction.
    """
    found = guards.of_vault(connection, vault_id)
    if found is not None and ask.operation in guard.protected(found["exclusions"]):
        at_guard(control, connection, caller, found, ask)


def require_everywhere(
    control: Control, connection: sa.Connection, caller: Caller, ask: Ask
) -> None:
    """What touches the whole installation: every guard in use has to approve it."""
    for row in guards.in_use(connection):
        if ask.operation in guard.protected(row["exclusions"]):
            at_guard(control, connection, caller, row, ask)


def at_guard(
    control: Control, connection: sa.Connection, caller: Caller, guard_row: sa.RowMapping, ask: Ask
) -> None:
    """The same at a certain guard, whatever it excludes."""
    now, place = control.clock.now(), guard_id_of(control, guard_row)
    earliest = control.earliest()  # a delay is not over because a clock was set on
    what = (guard_row["id"], caller.principal_id, ask.digest)
    granted = approvals.open_ones(connection, *what, GRANTED, now)
    granted = [row for row in granted if may_approve(connection, row["decided_by"], place)]
    for row in granted:
        if row["good_from"] <= max(earliest, row["decided_at"]):
            approvals.use(connection, row["id"], now)
            told = {"approval": row["id"], "approvedBy": row["decided_by"], "guard": place}
            _record(control, connection, caller, "approval/use", ask, told)
            return
    if granted:
        why, first = _too_early(granted[0]["good_from"]), granted[0]["id"]
        raise Unapproved(caller, guard_row, ask, why, known=first)
    approve_now(control, connection, caller, guard_row, ask, spent=True)


def good_from(guard_row: sa.RowMapping, operation: Guarded, now: Instant) -> Instant:
    """When an approval that is given now begins to be good."""
    return now if operation.urgent else now.add(hours=guard_row["delay_hours"])


def _too_early(good: Instant) -> str:
    return f"it is approved, and may be done from {good.round('second').format_iso()} on"


def approve_now(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    guard_row: sa.RowMapping,
    ask: Ask,
    *,
    spent: bool = False,
) -> Instant:
    """An approval by the principal of the auxiliary token: spent at once, or good for an hour."""
    now, place = control.clock.now(), guard_id_of(control, guard_row)
    _check_second(connection, caller, guard_row, place, ask)
    good = good_from(guard_row, ask.operation, now)
    hours = guard.GRANT_HOURS if spent else guard.UNLOCK_HOURS
    approval = _new(control, guard_row, caller, ask)
    approval |= {"state": GRANTED, "decided_by": caller.second, "decided_at": now}
    approval |= {"good_from": good, "expires_at": good.add(hours=hours)}
    if spent and good > now:
        raise Unapproved(caller, guard_row, ask, _too_early(good), granted=approval)
    if spent:
        approval |= {"state": USED, "used_at": now, "expires_at": now}
    approvals.add(connection, approval)
    told = {"approval": approval["id"], "approvedBy": caller.second, "guard": place}
    told |= {"auxiliary": True} if spent else {"auxiliary": True, "goodFrom": good.format_iso()}
    action = "approval/use" if spent else "approval/grant"
    _record(control, connection, caller, action, ask, told)
    until: Instant = approval["expires_at"]
    return until


def _check_second(
    connection: sa.Connection, caller: Caller, guard_row: sa.RowMapping, place: str, ask: Ask
) -> None:
    """Whether the principal of the auxiliary token approves this. Raises Unapproved."""
    if not caller.second:
        raise Unapproved(caller, guard_row, ask, "nobody else has approved it")
    wanted = guard.request_id(place, ask.operation.kind)
    if caller.named is not None and wanted.lower() not in caller.named:
        raise Unapproved(
            caller, guard_row, ask, f"resourceGuardOperationRequests does not name {wanted}"
        )
    if caller.second == caller.principal_id:
        raise Unapproved(caller, guard_row, ask, "nobody approves their own request")
    if not may_approve(connection, caller.second, place):
        raise Unapproved(
            caller, guard_row, ask, f"{caller.second} may not approve at the guard of this vault"
        )


def may_approve(connection: sa.Connection, principal_id: str, place: str) -> bool:
    """Whether they hold the role itself there: an owner of everything does not, by that alone."""
    return principal_id in approvers(connection, place)


def approvers(connection: sa.Connection, place: str) -> set[str]:
    """Everybody who may approve at a guard."""
    return {
        row["principal_id"]
        for row in role_assignments.list_all(connection)
        if row["role_id"] == access.MUA_OPERATOR.id and access.scope_contains(row["scope"], place)
    }


def guard_id_of(control: Control, guard_row: sa.RowMapping) -> str:
    """Its resource id."""
    return arm.guard_id_of(
        control.installation.subscription_id, guard_row["resource_group"], guard_row["name"]
    )


def _refuse(control: Control, refused: Unapproved) -> Forbidden:
    """Write the refusal and the request that waits from now on; the answer to the caller."""
    caller, ask, guard_row = refused.caller, refused.ask, refused.guard
    place, now = guard_id_of(control, guard_row), control.clock.now()
    with control.database.writing() as connection:
        request = refused.known or _write_request(control, connection, refused, now)
        told = {"request": request, "why": refused.why, "guard": place}
        _record(control, connection, caller, "approval/refuse", ask, told)
    early = bool(refused.known or refused.granted)
    return Forbidden(
        f"{ask.operation.words}: {refused.why}",
        hint=_hint(place, request, early=early),
        code=NEEDED,
        facts={"request": request, "guard": place, "operation": ask.operation.name},
    )


def _write_request(
    control: Control, connection: sa.Connection, refused: Unapproved, now: Instant
) -> str:
    """The id of the request that waits: one there is already, or a new one; "" of too many.

    What is granted, but not good yet, is written as that.
    """
    caller, ask, guard_row = refused.caller, refused.ask, refused.guard
    if refused.granted is not None:
        approvals.add(connection, refused.granted)
        told = {"approval": refused.granted["id"], "approvedBy": caller.second, "auxiliary": True}
        told |= {"goodFrom": refused.granted["good_from"].format_iso()}
        _record(control, connection, caller, "approval/grant", ask, told)
        warn_of_delay(refused.granted)
        return str(refused.granted["id"])
    what = (guard_row["id"], caller.principal_id, ask.digest)
    waiting = approvals.open_ones(connection, *what, WAITING, now)
    if waiting:
        return str(waiting[0]["id"])
    if approvals.count_waiting(connection, guard_row["id"], now) >= guard.MOST_WAITING:
        return ""
    approval = _new(control, guard_row, caller, ask)
    approvals.add(connection, approval)
    return str(approval["id"])


def warn_of_delay(approval: Mapping[str, Any] | sa.RowMapping) -> None:
    """The alert of an approval that can still be withdrawn before anything is done with it."""
    told = {"approval": approval["id"], "operation": approval["operation"]}
    told |= {"scope": approval["scope"], "asked_by": approval["asked_by"]}
    log.warning("approval.delayed", **told, good_from=approval["good_from"].format_iso())


def _hint(place: str, request: str, *, early: bool) -> str:
    if early:
        return f"send this again then; until then: strongroom approve withdraw {request}"
    if not request:
        return "too many requests wait at this guard: have somebody decide them first"
    return (
        f"somebody else with the role {access.MUA_OPERATOR.name!r} at {place} lets it through: "
        f"strongroom approve grant {request}; then send this again"
    )


def _new(control: Control, guard_row: sa.RowMapping, caller: Caller, ask: Ask) -> dict[str, Any]:
    now = control.clock.now()
    return {
        "id": str(uuid4(control.chance)),
        "guard_id": guard_row["id"],
        "operation": ask.operation.name,
        "scope": ask.scope,
        "asked": ask.asked,
        "digest": ask.digest,
        "asked_by": caller.principal_id,
        "asked_at": now,
        "state": WAITING,
        "expires_at": now.add(hours=guard.REQUEST_HOURS),
    }


def _record(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    action: str,
    ask: Ask,
    told: dict[str, Any],
) -> None:
    told = {"operation": ask.operation.name, "asked": ask.asked, **told}
    audit.append(connection, control.clock.now(), caller, (action, ask.scope), told)
