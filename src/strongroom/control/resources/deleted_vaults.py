"""Delete a vault, look at what was deleted, have it back until it is purged."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import deletions, instances, removal
from strongroom.catalog.protection.deletions import VAULT
from strongroom.catalog.resources import guards, policies, resource_groups
from strongroom.catalog.resources import vaults as catalog
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control
from strongroom.control.identities import identity
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.conditions import Conditions
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import uuid4
from strongroom.model.resources.guard import PROXY
from strongroom.model.resources.soft_delete import OFF, soft_delete_of

DELETE = "Microsoft.DataProtection/backupVaults/delete"
READ = "Microsoft.DataProtection/locations/deletedVaults/read"
_READ_VAULT = "Microsoft.DataProtection/backupVaults/read"
Deleted = tuple[sa.RowMapping, sa.RowMapping]  # the vault's row, and its deletion


def delete_vault(control: Control, caller: Caller, ref: VaultRef, seen: Conditions) -> bool:
    """A vault that protects nothing any more; what is soft-deleted goes with it, and comes back.

    False when there was none. Raises Conflict that names all that stands in the way.
    """
    subscription = control.installation.subscription_id
    with control.database.writing() as connection:
        scope = arm.vault_id_of(subscription, ref)
        require(control, connection, caller, DELETE, scope)
        found = catalog.find(connection, ref.resource_group, ref.name)
        seen.check(None if found is None else found["version"])
        if found is None:
            return False
        check_unused(in_the_way(connection, scope, found["id"]))
        delete_found(control, connection, caller, scope, found)
        return True


def delete_found(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    scope: str,
    found: sa.RowMapping,
) -> None:
    """A vault that nothing stands in the way of: soft-deleted, or gone where that is off."""
    soft, now = soft_delete_of(found["properties"]), control.clock.now()
    purge_at = soft.purge_at(now)
    told = {"purge": purge_at.format_iso(), "softDelete": soft.state}
    was = {"settings": found["properties"], "tags": found["tags"]}
    audit.append(connection, now, caller, ("vault/delete", scope), told, before=was)
    if soft.state == OFF and not instances.list_ids(connection, found["id"]):
        remove(connection, found)
        return
    by = (caller.principal_id, str(uuid4(control.chance)))
    deletions.add(connection, (VAULT, found["id"], found["id"]), now, purge_at, by)
    catalog.hide(connection, found)


def remove(connection: sa.Connection, vault: sa.RowMapping) -> None:
    """For good, with its identity and the roles that it held."""
    removal.remove_vault(connection, vault["id"])
    resource_groups.forget_empty(connection)
    identity.remove_vault_identity(connection, vault["principal_id"])


def in_the_way(connection: sa.Connection, scope: str, vault_id: str) -> list[str]:
    """Ids of what keeps a vault from its deletion.

    Policies of nothing but deleted instances wait with those for what becomes of them.
    """
    rows = instances.list_of_vault(connection, vault_id)
    blockers = [f"{scope}/backupInstances/{row['name']}" for row in rows]
    waiting = {row["policy_id"] for row in instances.list_deleted(connection, vault_id)}
    used = {row["policy_id"] for row in rows}
    blockers += [
        f"{scope}/backupPolicies/{policy['name']}"
        for policy in policies.list_of_vault(connection, vault_id)
        if policy["id"] in used or policy["id"] not in waiting
    ]
    if guards.of_vault(connection, vault_id) is not None:
        blockers.append(f"{scope}/backupResourceGuardProxies/{PROXY}")
    return blockers


def check_unused(blockers: list[str]) -> None:
    """Raises Conflict that names all of them."""
    if blockers:
        raise Conflict(
            "Cannot delete the Backup vault as there are existing backup instances or backup "
            "policies in the vault",
            hint="delete what the details name first",
            code="UserErrorBackupVaultNotEmpty",
            facts={"details": [{"code": "InUse", "message": b, "target": b} for b in blockers]},
        )


def list_deleted_vaults(control: Control, caller: Caller) -> list[Deleted]:
    """Those that the caller could see while they were there, the last deleted first."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        require(control, connection, caller, READ, arm.subscription_id_of(subscription))
        rows = [
            row
            for row in catalog.list_deleted(connection)
            if may(connection, caller, _READ_VAULT, _scope_of(subscription, row))
        ]
        found = deletions.of(connection, [row["id"] for row in rows])
    pairs = [(row, found[row["id"]]) for row in rows]
    return sorted(pairs, key=lambda pair: pair[1]["deleted_at"], reverse=True)


def get_deleted_vault(control: Control, caller: Caller, name: str) -> Deleted:
    """One of them, by the name that it has among the deleted ones."""
    for vault, deletion in list_deleted_vaults(control, caller):
        if deleted_name(vault["id"]) == name.lower():
            return vault, deletion
    raise NotFound(f"there is no deleted vault {name[:60]!r}", code="ResourceNotFound")


def deleted_name(vault_id: str) -> str:
    """What a vault is called while it is deleted: names may be used again meanwhile."""
    return str(UUID(hex=vault_id))


def read_deleted_id(text: str) -> str:
    """`x-ms-deleted-vault-id`: an id of a deleted vault, or its last part. The vault's own id."""
    try:
        return UUID(text.strip().rstrip("/").rpartition("/")[2]).hex
    except ValueError as error:
        raise arm.invalid(
            f"x-ms-deleted-vault-id {text[:160]!r} is not the id of a deleted vault",
            "take the id that deletedVaults lists",
        ) from error


def bring_back(
    control: Control, connection: sa.Connection, caller: Caller, ref: VaultRef, vault_id: str
) -> sa.RowMapping:
    """A deleted vault under its name; what was soft-deleted in it is so still."""
    vault, deletion = catalog.by_id(connection, vault_id), deletions.find(connection, vault_id)
    if vault is None or deletion is None:
        raise NotFound(
            f"there is no deleted vault {deleted_name(vault_id)}",
            hint="it may have been purged, or be back already: list deletedVaults",
            code="ResourceNotFound",
        )
    home = VaultRef(resource_group=vault["resource_group"], name=vault["name"])
    if (home.resource_group.lower(), home.name.lower()) != (
        ref.resource_group.lower(),
        ref.name.lower(),
    ):
        raise Invalid(
            f"the deleted vault was {home.name} in resource group {home.resource_group}",
            hint="create it under that name, there",
            code="BMSUserErrorInvalidInput",
        )
    deletions.drop(connection, vault_id)
    catalog.show(connection, vault)
    scope = arm.vault_id_of(control.installation.subscription_id, ref)
    audit.append(connection, control.clock.now(), caller, ("vault/undelete", scope))
    found = catalog.by_id(connection, vault_id)
    assert found is not None  # noqa: S101 - it was there, in this transaction
    return found


def _scope_of(subscription: str, row: Any) -> str:  # noqa: ANN401 - a row
    ref = VaultRef(resource_group=row["resource_group"], name=row["name"])
    return arm.vault_id_of(subscription, ref)
