"""Decide what others have asked for: grant, deny, withdraw, look."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import approvals as catalog
from strongroom.catalog.oversight import audit
from strongroom.catalog.oversight.approvals import DENIED, GRANTED, WAITING, WITHDRAWN
from strongroom.catalog.resources import guards
from strongroom.control.basis.access import may
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import good_from, guard_id_of, may_approve, warn_of_delay
from strongroom.model.errors import Conflict, Forbidden, Invalid, NotFound
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller
from strongroom.model.resources.guard import BY_NAME, GRANT_HOURS, MOST_HOURS

READ_GUARD = "Microsoft.DataProtection/resourceGuards/read"
EXPIRED = "Expired"
Approval = tuple[sa.RowMapping, str]  # the row, and the guard's resource id


def list_approvals(control: Control, caller: Caller) -> list[Approval]:
    """What the caller has asked for, and what was asked of guards that they see; newest first."""
    with control.database.reading() as connection:
        found = [
            (row, guard_id_of(control, guard))
            for guard in guards.list_of_group(connection, None)
            for row in catalog.list_of_guard(connection, guard["id"])
        ]
        seen = [entry for entry in found if _sees(connection, caller, *entry)]
    return sorted(seen, key=lambda entry: entry[0]["asked_at"], reverse=True)


def may_decide(control: Control, caller: Caller, found: Sequence[Approval]) -> set[str]:
    """The ids of those that the caller holds the role to decide, and has not asked for."""
    with control.database.reading() as connection:
        return {
            row["id"] for row, place in found if _refusal(connection, caller, row, place) is None
        }


def get_approval(control: Control, caller: Caller, approval_id: str) -> Approval:
    """One of them."""
    with control.database.reading() as connection:
        return _need(control, connection, caller, approval_id)


def grant_approval(
    control: Control, caller: Caller, approval_id: str, hours: float | None
) -> Approval:
    """Let exactly this through, once, within so many hours. Never one's own request."""
    good_for = GRANT_HOURS if hours is None else hours
    if isinstance(good_for, bool) or not 0 < good_for <= MOST_HOURS:
        raise Invalid(f"an approval is good for up to {MOST_HOURS} hours", hint="say how many")
    return _decide(control, caller, approval_id, GRANTED, good_for)


def deny_approval(control: Control, caller: Caller, approval_id: str) -> Approval:
    """Say no; it can be asked for again."""
    return _decide(control, caller, approval_id, DENIED, 0.0)


def withdraw_approval(control: Control, caller: Caller, approval_id: str) -> Approval:
    """Take back what is not used yet: whoever asked for it may, and any approver."""
    with control.database.writing() as connection:
        row, place = _need(control, connection, caller, approval_id)
        approver = may_approve(connection, caller.principal_id, place)
        if row["asked_by"] != caller.principal_id and not approver:
            raise Forbidden(
                _no_approver(caller, place),
                hint="have whoever asked, or an approver, withdraw it",
                code="AuthorizationFailed",
            )
        now = control.clock.now()
        if state_of(control, row) not in {WAITING, GRANTED}:
            raise Conflict(
                f"approval {row['id']} is {state_of(control, row)}",
                hint="there is nothing left to withdraw",
            )
        who = (caller.principal_id, now)
        catalog.decide(connection, row["id"], WITHDRAWN, who, (now, now))
        told = {"approval": row["id"], "askedBy": row["asked_by"], "operation": row["operation"]}
        told |= {"asked": row["asked"], "was": row["state"], "approvedBy": row["decided_by"]}
        audit.append(connection, now, caller, ("approval/withdraw", row["scope"]), told)
        return _need(control, connection, caller, approval_id)


def _decide(
    control: Control, caller: Caller, approval_id: str, state: str, hours: float
) -> Approval:
    action = "approval/grant" if state == GRANTED else "approval/deny"
    with control.database.writing() as connection:
        row, place = _need(control, connection, caller, approval_id)
        refusal = _refusal(connection, caller, row, place)
        now = control.clock.now()
        told = {"approval": row["id"], "askedBy": row["asked_by"], "operation": row["operation"]}
        told |= {"asked": row["asked"]}
        if refusal is None:
            if row["state"] != WAITING or row["expires_at"] <= now:
                raise Conflict(
                    f"approval {row['id']} is {state_of(control, row)}",
                    hint="have it asked for again: send the request itself once more",
                )
            good = now
            if state == GRANTED:
                guard_row = guards.by_id(connection, row["guard_id"])
                good = good_from(guard_row, BY_NAME[row["operation"].lower()], now)
            until = good.add(minutes=round(hours * 60))
            who = (caller.principal_id, now)
            catalog.decide(connection, row["id"], state, who, (good, until))
            told |= {"goodFrom": good.format_iso(), "until": until.format_iso()}
        else:
            action, told = "approval/refuse", told | {"why": refusal}
        audit.append(connection, now, caller, (action, row["scope"]), told)
        row, place = _need(control, connection, caller, approval_id)
    if state == GRANTED and refusal is None and row["good_from"] > now:
        warn_of_delay(row)
    if refusal is not None:
        raise Forbidden(refusal, hint="have somebody else decide", code="AuthorizationFailed")
    return row, place


def _refusal(
    connection: sa.Connection, caller: Caller, row: sa.RowMapping, place: str
) -> str | None:
    """Why this caller may not decide; the refusal is written down, so it is no exception here."""
    if row["asked_by"] == caller.principal_id:
        return "nobody approves their own request"
    if not may_approve(connection, caller.principal_id, place):
        return _no_approver(caller, place)
    return None


def _no_approver(caller: Caller, place: str) -> str:
    return f"{caller.principal_id} has not the role {access.MUA_OPERATOR.name!r} at {place}"


def state_of(control: Control, row: sa.RowMapping) -> str:
    """Waiting, Granted, Denied, Withdrawn, Used, or Expired."""
    over = row["expires_at"] <= control.clock.now()
    return EXPIRED if over and row["state"] in {WAITING, GRANTED} else str(row["state"])


def _need(
    control: Control, connection: sa.Connection, caller: Caller, approval_id: str
) -> Approval:
    row = catalog.find(connection, approval_id.lower())
    if row is not None:
        place = guard_id_of(control, guards.by_id(connection, row["guard_id"]))
        if _sees(connection, caller, row, place):
            return row, place
    raise NotFound(
        f"there is no approval {approval_id[:64]!r}, or it is not for you to see",
        hint="list those there are: strongroom approve list",
    )


def _sees(connection: sa.Connection, caller: Caller, row: Any, place: str) -> bool:  # noqa: ANN401
    return row["asked_by"] == caller.principal_id or may(connection, caller, READ_GUARD, place)
