"""Backup vaults."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import vaults as catalog
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control, need_second
from strongroom.control.basis.guarded import Ask
from strongroom.control.identities import identity
from strongroom.control.resources import deleted_vaults
from strongroom.control.resources.subscriptions import need_group
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.resources import guard
from strongroom.model.resources.vault import (
    VaultWish,
    crosses_regions,
    immutability_of,
    merge,
    read_vault,
)

READ = "Microsoft.DataProtection/backupVaults/read"
WRITE = "Microsoft.DataProtection/backupVaults/write"
CHECK_NAME = "Microsoft.DataProtection/locations/checkNameAvailability/action"


def put_vault(  # noqa: PLR0913 - a wish each, by name
    control: Control,
    caller: Caller,
    ref: VaultRef,
    body: dict[str, Any],
    seen: Conditions,
    request_key: str,
    *,
    deleted_id: str = "",
) -> tuple[sa.RowMapping, OperationId, bool]:
    """Create or change a vault. Returns it, the operation, and whether it is new.

    `deleted_id`: the deleted vault that shall be had back, and then changed as it is asked.
    """
    arm.check_name("vault", ref.name)
    wish = read_vault(body)
    location = arm.need_location(body)
    with guarded.writing(control) as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, ref.resource_group)
        found = catalog.find(connection, ref.resource_group, ref.name)
        operation = long_running.find_by_request(connection, request_key)
        if operation is None:
            seen.check(None if found is None else found["version"])
        before = found
        if deleted_id:
            found = _had_back(control, connection, caller, ref, (found, deleted_id))
        if found is None:
            _create(control, connection, ref, location, wish)
        elif not arm.same_location(location, found["location"]):
            raise Conflict(
                f"The resource '{ref.name}' already exists in location '{found['location']}'.",
                hint=f"send location {found['location']}",
                code="InvalidResourceLocation",
            )
        else:
            _check_weakened(control, connection, caller, found, wish)
            _change(control, connection, found, wish)
        _record(control, connection, caller, ref, found)
        if operation is None:
            operation = long_running.add_ended(
                control, connection, caller, ("vault", scope), {}, request_key
            )
        return need_vault(connection, ref), operation, before is None


def _had_back(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    ref: VaultRef,
    which: tuple[sa.RowMapping | None, str],
) -> sa.RowMapping:
    """The deleted vault of `which` = (what has its name now, its id); it may be back already."""
    found, deleted_id = which
    vault_id = deleted_vaults.read_deleted_id(deleted_id)
    if found is None:
        return deleted_vaults.bring_back(control, connection, caller, ref, vault_id)
    if found["id"] != vault_id:
        raise Conflict(
            f"there is another vault {found['name']} by now",
            hint="delete that one first, or leave the deleted one where it is",
        )
    return found


def patch_vault(
    control: Control, caller: Caller, ref: VaultRef, body: dict[str, Any], seen: Conditions
) -> sa.RowMapping:
    """Change tags and settings of a vault that is there."""
    wish = read_vault(body)
    with guarded.writing(control) as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, WRITE, scope)
        found = need_vault(connection, ref)
        seen.check(found["version"])
        _check_weakened(control, connection, caller, found, wish)
        _change(control, connection, found, wish)
        _record(control, connection, caller, ref, found)
        return need_vault(connection, ref)


def _create(
    control: Control, connection: sa.Connection, ref: VaultRef, location: str, wish: VaultWish
) -> None:
    row = {
        "id": control.chance.bytes(16).hex(),
        "resource_group_key": ref.resource_group.lower(),
        "name": ref.name,
        "name_key": ref.name.lower(),
        "location": location,
        "principal_id": identity.create_vault_identity(control, connection, ref.name),
        "properties": _merged(control, {}, wish),
        "tags": wish.tags or {},
        "state": "Succeeded",
        "version": 1,
        "created_at": control.clock.now(),
    }
    catalog.add(connection, row)


def _check_weakened(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    found: sa.RowMapping,
    wish: VaultWish,
) -> None:
    """Less immutability, or less soft delete, is a second person's to approve."""
    before, after = found["properties"], merge(found["properties"], wish.settings)
    scope = _scope_of(control.installation.subscription_id, found)
    for operation in guard.weakened(before, after):
        kept = {"from": before.get("securitySettings"), "to": after["securitySettings"]}
        ask = Ask(operation, scope, kept)
        guarded.require_approval(control, connection, caller, found["id"], ask)


def _change(
    control: Control, connection: sa.Connection, found: sa.RowMapping, wish: VaultWish
) -> None:
    settings, version = _merged(control, found["properties"], wish), found["version"] + 1
    catalog.change(
        connection,
        found["id"],
        properties=settings,
        tags=found["tags"] if wish.tags is None else wish.tags,
        version=version,
    )
    if immutability_of(settings) != immutability_of(found["properties"]):
        story = f"immutability:{found['id']}:{version}"
        control.jobs.enqueue(connection, "lock-vault", story, found["id"])


def _merged(control: Control, before: dict[str, Any], wish: VaultWish) -> dict[str, Any]:
    """Cross-region restore is promised by whoever has a second region."""
    after = merge(before, wish.settings)
    if crosses_regions(after) and not crosses_regions(before):
        need_second(control)
    return after


def _record(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    ref: VaultRef,
    found: sa.RowMapping | None,
) -> None:
    what = "vault/create" if found is None else "vault/change"
    scope = arm.vault_id_of(control.installation.subscription_id, ref)
    before, after = ({} if found is None else _told(found)), _told(need_vault(connection, ref))
    now = control.clock.now()
    audit.append(connection, now, caller, (what, scope), before=before, after=after)


def _told(row: sa.RowMapping) -> dict[str, Any]:
    return {"settings": row["properties"], "tags": row["tags"]}


def get_vault(control: Control, caller: Caller, ref: VaultRef) -> sa.RowMapping:
    """One vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, ref)
        require(control, connection, caller, READ, scope)
        return need_vault(connection, ref)


def list_vaults(control: Control, caller: Caller, group: str | None) -> list[sa.RowMapping]:
    """The vaults of a resource group, or of the subscription, that the caller may see."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        if group is not None:
            require(control, connection, caller, READ, arm.group_id_of(subscription, group))
            need_group(connection, group)
        return [
            row
            for row in catalog.list_of_group(connection, group)
            if may(connection, caller, READ, _scope_of(subscription, row))
        ]


def _scope_of(subscription: str, row: sa.RowMapping) -> str:
    ref = VaultRef(resource_group=row["resource_group"], name=row["name"])
    return arm.vault_id_of(subscription, ref)


def check_vault_name(
    control: Control, caller: Caller, group: str, body: dict[str, Any]
) -> tuple[bool, str, str]:
    """(available, reason, message) for the name of a new vault."""
    name = arm.pick_text(body, "name")
    with control.database.reading() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, group)
        require(control, connection, caller, CHECK_NAME, scope)
        try:
            arm.check_name("vault", name)
        except Invalid as error:
            return False, "Invalid", f"{error.message}; {error.hint}"
        if catalog.find(connection, group, name) is not None:
            return False, "AlreadyExists", f"There is a vault {name} in this resource group."
        return True, "", ""


def need_vault(connection: sa.Connection, ref: VaultRef) -> sa.RowMapping:
    """The vault, or NotFound."""
    found = catalog.find(connection, ref.resource_group, ref.name)
    if found is None:
        raise NotFound(
            f"The Resource 'Microsoft.DataProtection/backupVaults/{ref.name[:50]}' under resource "
            f"group '{ref.resource_group[:90]}' was not found.",
            code="ResourceNotFound",
        )
    return found
