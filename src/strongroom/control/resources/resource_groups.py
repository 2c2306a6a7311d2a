"""Change a resource group, look at what is in it, delete it with all that is.

Azure deletes what is in a group, and fails where anything in it may not go. So here, but all or
nothing: what protects a server, or was and can be had back, keeps the whole group.
Source: Microsoft, "Resource Groups - Delete"; ARM's code ResourceGroupDeletionBlocked.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.identities import role_assignments
from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances
from strongroom.catalog.resources import guards, servers, vaults
from strongroom.catalog.resources import resource_groups as catalog
from strongroom.control.basis import long_running
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control
from strongroom.control.resources import deleted_servers, deleted_vaults
from strongroom.control.resources import guards as guard_control
from strongroom.control.resources.subscriptions import WRITE, need_group
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId

DELETE = "Microsoft.Resources/subscriptions/resourceGroups/delete"
LIST = "Microsoft.Resources/subscriptions/resourceGroups/resources/read"
LIST_ALL = "Microsoft.Resources/subscriptions/resources/read"
VAULT, GUARD = "Microsoft.DataProtection/backupVaults", "Microsoft.DataProtection/resourceGuards"
SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"
Resource = tuple[str, str, sa.RowMapping]  # (kind, ARM id, row)


def patch_group(
    control: Control, caller: Caller, name: str, body: dict[str, Any]
) -> sa.RowMapping:
    """Other tags; those of the body and no others."""
    tags = arm.read_tags(body)
    with control.database.writing() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, WRITE, scope)
        found = need_group(connection, name)
        if tags is not None and tags != found["tags"]:
            catalog.change(connection, name, tags=tags)
            what, before = ("resourceGroup/change", scope), {"tags": found["tags"]}
            now = control.clock.now()
            audit.append(connection, now, caller, what, before=before, after={"tags": tags})
        return need_group(connection, name)


def list_resources(control: Control, caller: Caller, group: str | None) -> list[Resource]:
    """What is in a group, or in the subscription, as far as the caller may see it."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        if group is None:
            scope = arm.subscription_id_of(subscription)
            require(control, connection, caller, LIST_ALL, scope)
        else:
            require(control, connection, caller, LIST, arm.group_id_of(subscription, group))
            need_group(connection, group)
        found = _resources(connection, subscription, group)
        return [each for each in found if may(connection, caller, f"{each[0]}/read", each[1])]


def _resources(connection: sa.Connection, subscription: str, group: str | None) -> list[Resource]:
    found = [
        (VAULT, arm.vault_id_of(subscription, _ref(row)), row)
        for row in vaults.list_of_group(connection, group)
    ]
    found += [
        (GUARD, arm.guard_id_of(subscription, row["resource_group"], row["name"]), row)
        for row in guards.list_of_group(connection, group)
    ]
    return found + [
        (SERVER, arm.server_id_of(subscription, row["resource_group"], row["name"]), row)
        for row in servers.list_of_group(connection, group)
    ]


def _ref(row: sa.RowMapping) -> VaultRef:
    return VaultRef(resource_group=row["resource_group"], name=row["name"])


def delete_group(control: Control, caller: Caller, name: str, key: str) -> OperationId:
    """With the vaults, guards and servers in it, and every role that was given there.

    Raises Conflict that names all that stands in the way; then nothing has gone.
    """
    with control.database.writing() as connection:
        known = long_running.find_by_request(connection, key)
        if known is not None:
            return known
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, DELETE, scope)
        group = need_group(connection, name)
        found = _resources(connection, control.installation.subscription_id, name)
        for kind, place, _ in found:
            require(control, connection, caller, f"{kind}/delete", place)
        _check_free(control, connection, group["name"], found)
        for each in found:
            _delete(control, connection, caller, each)
        gone = role_assignments.remove_below(connection, scope)
        catalog.remove(connection, name, control.clock.now())
        told = {"resources": [place for _, place, _ in found], "roles": [r["id"] for r in gone]}
        before, what = {"tags": group["tags"]}, ("resourceGroup/delete", scope)
        audit.append(connection, control.clock.now(), caller, what, told, before=before)
        of = ("resourceGroup", scope)
        return long_running.add_ended(control, connection, caller, of, {}, key)


def _check_free(
    control: Control, connection: sa.Connection, name: str, found: list[Resource]
) -> None:
    """Raises Conflict that names whatever keeps one of them."""
    blockers = [why for each in found for why in _blockers(control, connection, each)]
    if blockers:
        kept = ",".join(dict.fromkeys(place for place, _ in blockers))
        raise Conflict(
            f"Deletion of resource group '{name}' failed as resources with identifiers '{kept}' "
            "could not be deleted.",
            hint="delete what the details name first; what is soft-deleted, purge or wait for",
            code="ResourceGroupDeletionBlocked",
            facts={
                "details": [
                    {"code": "InUse", "message": f"{place} is kept by {why}", "target": why}
                    for place, why in blockers
                ]
            },
        )


def _blockers(
    control: Control, connection: sa.Connection, which: Resource
) -> list[tuple[str, str]]:
    """(resource, what keeps it)."""
    kind, place, row = which
    if kind == VAULT:
        kept = deleted_vaults.in_the_way(connection, place, row["id"])
        kept += [
            f"{place}/deletedBackupInstances/{each['name']}"
            for each in instances.list_deleted(connection, row["id"])
        ]
    elif kind == GUARD:
        used = guard_control.is_used(connection, row["id"])
        kept = ["a vault that stands under it"] if used else []
    else:
        kept = deleted_servers.in_the_way(control, connection, row["id"])
    return [(place, why) for why in kept]


def _delete(control: Control, connection: sa.Connection, caller: Caller, which: Resource) -> None:
    kind, place, row = which
    if kind == VAULT:
        deleted_vaults.delete_found(control, connection, caller, place, row)
    elif kind == GUARD:
        guard_control.delete_found(control, connection, caller, place, row)
    else:
        deleted_servers.delete_found(control, connection, caller, place, row)
