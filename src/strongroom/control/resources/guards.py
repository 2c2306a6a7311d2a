"""Resource guards, the vaults under them, and what `unlockDelete` opens."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import approvals, audit
from strongroom.catalog.oversight.approvals import GRANTED
from strongroom.catalog.resources import guards as catalog
from strongroom.control.basis import guarded
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask, guard_id_of
from strongroom.control.resources.subscriptions import need_group
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Conflict, Invalid, NotFound, Precondition
from strongroom.model.identities import access
from strongroom.model.identities.access import Caller
from strongroom.model.resources import guard

_GUARD = "Microsoft.DataProtection/resourceGuards"
READ, WRITE, DELETE = f"{_GUARD}/read", f"{_GUARD}/write", f"{_GUARD}/delete"
_PROXY = "Microsoft.DataProtection/backupVaults/backupResourceGuardProxies"
READ_PROXY, WRITE_PROXY, DELETE_PROXY = f"{_PROXY}/read", f"{_PROXY}/write", f"{_PROXY}/delete"
UNLOCK = f"{_PROXY}/unlockDelete/action"


def put_guard(
    control: Control, caller: Caller, group: str, name: str, body: dict[str, Any], seen: Conditions
) -> tuple[sa.RowMapping, bool]:
    """Create or change a guard. One that vaults stand under protects less only when approved."""
    arm.check_name("guard", name)
    tags, exclusions = arm.read_tags(body), guard.read_exclusions(body)
    delay = guard.read_delay(body)
    location = arm.need_location(body)
    with guarded.writing(control) as connection:
        scope = arm.guard_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, group)
        found = catalog.find(connection, group, name)
        seen.check(None if found is None else found["version"])
        if found is not None:
            kept = found["delay_hours"] if delay is None else delay
            _change(control, connection, caller, found, (tags, exclusions, kept))
            return need_guard(connection, group, name), False
        row = {
            "id": control.chance.bytes(16).hex(),
            "resource_group_key": group.lower(),
            "name": name,
            "name_key": name.lower(),
            "location": location,
            "tags": tags or {},
            "exclusions": exclusions,
            "delay_hours": delay or 0,
            "version": 1,
            "created_at": control.clock.now(),
        }
        catalog.add(connection, row)
        now, after = control.clock.now(), _told(row)
        audit.append(connection, now, caller, ("guard/create", scope), after=after)
        return need_guard(connection, group, name), True


def patch_guard(
    control: Control, caller: Caller, group: str, name: str, body: dict[str, Any], seen: Conditions
) -> sa.RowMapping:
    """Change its tags."""
    tags = arm.read_tags(body)
    with guarded.writing(control) as connection:
        scope = arm.guard_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, WRITE, scope)
        found = need_guard(connection, group, name)
        seen.check(found["version"])
        wish = (tags, found["exclusions"], found["delay_hours"])
        _change(control, connection, caller, found, wish)
        return need_guard(connection, group, name)


def _change(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    found: sa.RowMapping,
    wish: tuple[dict[str, str] | None, list[str], int],
) -> None:
    """`wish` = (tags, exclusions, hours of delay)."""
    (tags, exclusions, delay), before = wish, _told(found)
    after = {"exclusions": exclusions, "delay_hours": delay}
    after["tags"] = found["tags"] if tags is None else tags
    scope, kept = guard_id_of(control, found), guard.protected(exclusions)
    lost = [each.name for each in guard.protected(found["exclusions"]) if each not in kept]
    sooner = delay < found["delay_hours"]
    if (lost or sooner) and is_used(connection, found["id"]):
        told = {"noLongerProtected": lost, **({"approvalDelayHours": delay} if sooner else {})}
        ask = Ask(guard.WEAKEN_GUARD, scope, told)
        guarded.at_guard(control, connection, caller, found, ask)
    catalog.change(connection, found["id"], **after, version=found["version"] + 1)
    what = ("guard/change", scope)
    audit.append(connection, control.clock.now(), caller, what, before=before, after=after)


def _told(row: Mapping[str, Any] | sa.RowMapping) -> dict[str, Any]:
    """What of a guard the audit keeps."""
    return {name: row[name] for name in ("exclusions", "tags", "delay_hours")}


def is_used(connection: sa.Connection, guard_id: str) -> bool:
    """Whether some vault stands under it."""
    return any(row["id"] == guard_id for row in catalog.in_use(connection))


def get_guard(control: Control, caller: Caller, group: str, name: str) -> sa.RowMapping:
    """One guard."""
    with control.database.reading() as connection:
        scope = arm.guard_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, READ, scope)
        return need_guard(connection, group, name)


def list_guards(control: Control, caller: Caller, group: str | None) -> list[sa.RowMapping]:
    """The guards of a group, or of the subscription, that the caller may see."""
    with control.database.reading() as connection:
        if group is not None:
            scope = arm.group_id_of(control.installation.subscription_id, group)
            require(control, connection, caller, READ, scope)
            need_group(connection, group)
        return [
            row
            for row in catalog.list_of_group(connection, group)
            if may(connection, caller, READ, guard_id_of(control, row))
        ]


def delete_guard(control: Control, caller: Caller, group: str, name: str) -> bool:
    """A guard that no vault stands under goes. False when there was none."""
    with control.database.writing() as connection:
        scope = arm.guard_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, DELETE, scope)
        found = catalog.find(connection, group, name)
        if found is None:
            return False
        if is_used(connection, found["id"]):
            raise Conflict(
                f"vaults stand under guard {found['name']}",
                hint="take it from each of them first: strongroom guard release",
            )
        delete_found(control, connection, caller, scope, found)
        return True


def delete_found(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    scope: str,
    found: sa.RowMapping,
) -> None:
    """A guard that no vault stands under goes, and its approvals."""
    approvals.remove_of_guard(connection, found["id"])
    catalog.remove(connection, found["id"])
    before, what = _told(found), ("guard/delete", scope)
    audit.append(connection, control.clock.now(), caller, what, before=before)


def put_proxy(
    control: Control, caller: Caller, ref: VaultRef, name: str, properties: dict[str, Any]
) -> sa.RowMapping:
    """Put a vault under a guard. To put it under another one takes the first one's approval.

    Raises Precondition while nobody but the caller could approve: that would lock everybody out.
    """
    _check_name(name)
    subscription = control.installation.subscription_id
    wanted = arm.pick_text(properties, "resourceGuardResourceId")
    with guarded.writing(control) as connection:
        scope = arm.vault_id_of(subscription, ref)
        require(control, connection, caller, WRITE_PROXY, scope)
        vault = need_vault(connection, ref)
        group, guard_name = arm.read_guard_id(wanted, subscription)
        place = arm.guard_id_of(subscription, group, guard_name)
        require(control, connection, caller, READ, place)
        found = need_guard(connection, group, guard_name)
        before = catalog.of_vault(connection, vault["id"])
        if before is not None and before["id"] == found["id"]:
            return before
        if before is not None:
            ask = Ask(guard.REMOVE_GUARD, _proxy_id(scope), {"instead": place})
            guarded.at_guard(control, connection, caller, before, ask)
        _check_approvers(connection, caller, place)
        now = control.clock.now()
        catalog.put_under(connection, vault["id"], found["id"], now)
        was = {} if before is None else {"guard": guard_id_of(control, before)}
        what = ("vault/guard", scope)
        audit.append(connection, now, caller, what, before=was, after={"guard": place})
        return _need_proxy(connection, vault["id"], ref)


def _check_approvers(connection: sa.Connection, caller: Caller, place: str) -> None:
    if guarded.approvers(connection, place) - {caller.principal_id}:
        return
    raise Precondition(
        f"nobody but {caller.principal_id} could approve at {place}",
        hint=f"give another principal the role {access.MUA_OPERATOR.name!r} there first: "
        "strongroom principal add NAME --to DIRECTORY --approver",
    )


def get_proxy(control: Control, caller: Caller, ref: VaultRef, name: str) -> sa.RowMapping:
    """The guard that a vault stands under."""
    _check_name(name)
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ_PROXY, scope)
        return _need_proxy(connection, need_vault(connection, ref)["id"], ref)


def find_proxy(control: Control, caller: Caller, ref: VaultRef) -> sa.RowMapping | None:
    """The same; None when it stands under none."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ_PROXY, scope)
        return catalog.of_vault(connection, need_vault(connection, ref)["id"])


def delete_proxy(control: Control, caller: Caller, ref: VaultRef, name: str) -> bool:
    """Take the guard from a vault, with its approval. False when it stood under none."""
    _check_name(name)
    with guarded.writing(control) as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, DELETE_PROXY, scope)
        vault = need_vault(connection, ref)
        found = catalog.of_vault(connection, vault["id"])
        if found is None:
            return False
        ask = Ask(guard.REMOVE_GUARD, _proxy_id(scope), {})
        guarded.at_guard(control, connection, caller, found, ask)
        catalog.take_from(connection, vault["id"])
        before = {"guard": guard_id_of(control, found)}
        what = ("vault/unguard", scope)
        audit.append(connection, control.clock.now(), caller, what, before=before)
        return True


def unlock_delete(
    control: Control, caller: Caller, ref: VaultRef, name: str, body: dict[str, Any]
) -> Instant:
    """Have a deletion approved beforehand, as a DELETE has no body to ask in. Until when."""
    _check_name(name)
    with guarded.writing(control) as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, UNLOCK, scope)
        found = _need_proxy(connection, need_vault(connection, ref)["id"], ref)
        ask = _read_unlock(scope, guard_id_of(control, found), body)
        now = control.clock.now()
        known = approvals.open_ones(
            connection, found["id"], caller.principal_id, ask.digest, GRANTED, now
        )
        if known:
            return known[-1]["expires_at"]  # type: ignore[no-any-return]
        return guarded.approve_now(control, connection, caller, found, ask)


def _read_unlock(scope: str, place: str, body: dict[str, Any]) -> Ask:
    """The one deletion that a body of `unlockDelete` names. Raises Invalid."""
    named = arm.pick(body, "resourceGuardOperationRequests")
    target = arm.pick_text(body, "resourceToBeDeleted").rstrip("/")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise arm.invalid(
            "resourceGuardOperationRequests does not name one request",
            f'send ["{guard.request_id(place, guard.DELETE_INSTANCE.kind)}"]',
        )
    for operation in guard.OPERATIONS:
        wanted = guard.request_id(place, operation.kind)
        if operation.deletes and named[0].rstrip("/").lower() == wanted.lower():
            if operation is guard.REMOVE_GUARD:
                return Ask(operation, _proxy_id(scope), {})
            if not access.scope_contains(scope, target) or target.lower() == scope.lower():
                raise arm.invalid(
                    f"resourceToBeDeleted {target[:160]!r} is not in this vault",
                    "send the id of what is to be deleted",
                )
            return Ask(operation, target, {})
    raise arm.invalid(
        f"{named[0][:200]!r} is no request for a deletion at the guard of this vault",
        f"its requests are named {place}/KIND/default",
    )


def _proxy_id(vault_id: str) -> str:
    return f"{vault_id}/backupResourceGuardProxies/{guard.PROXY}"


def _check_name(name: str) -> None:
    if name.lower() != guard.PROXY.lower():
        raise Invalid(
            f"a vault has one guard proxy, and its name is {guard.PROXY}",
            hint=f"use {guard.PROXY}",
            code="BMSUserErrorInvalidInput",
        )


def _need_proxy(connection: sa.Connection, vault_id: str, ref: VaultRef) -> sa.RowMapping:
    found = catalog.of_vault(connection, vault_id)
    if found is None:
        raise NotFound(
            f"vault {ref.name[:50]} stands under no resource guard",
            hint="put it under one: strongroom guard protect NAME",
            code="ResourceNotFound",
        )
    return found


def need_guard(connection: sa.Connection, group: str, name: str) -> sa.RowMapping:
    """The guard, or NotFound."""
    found = catalog.find(connection, group, name)
    if found is None:
        raise NotFound(
            f"there is no resource guard {name[:63]!r} in resource group {group[:90]!r}",
            hint="make one: strongroom guard create NAME",
            code="ResourceNotFound",
        )
    return found
