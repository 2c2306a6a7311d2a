"""Backup policies: read at the door, echoed as they came."""

import json
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import policies as catalog
from strongroom.control.basis import guarded
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection import scheduling
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.protection.less_retention import less_kept
from strongroom.model.protection.policy import parse_policy
from strongroom.model.resources import guard

READ = "Microsoft.DataProtection/backupVaults/backupPolicies/read"
WRITE = "Microsoft.DataProtection/backupVaults/backupPolicies/write"
DELETE = "Microsoft.DataProtection/backupVaults/backupPolicies/delete"


def put_policy(
    control: Control, caller: Caller, vault: VaultRef, name: str, properties: dict[str, Any]
) -> sa.RowMapping:
    """Create or change a policy. Points that exist keep what they were promised.

    A change re-plans the schedules of every instance that the policy protects.
    """
    arm.check_name("policy", name)
    asked = parse_policy(properties)
    text = json.dumps(_completed(properties))
    with guarded.writing(control) as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, WRITE, scope)
        owner = need_vault(connection, vault)
        found = catalog.find(connection, owner["id"], name)
        now = control.clock.now()
        if found is None:
            row = {
                "id": control.chance.bytes(16).hex(),
                "vault_id": owner["id"],
                "name": name,
                "name_key": name.lower(),
                "properties": text,
                "version": 1,
                "created_at": now,
            }
            catalog.add(connection, row, caller.principal_id)
        elif found["properties"] != text:
            less = less_kept(parse_policy(found["properties"]), asked)
            if less:
                exactly = {"less": less, "version": found["version"], "policy": json.loads(text)}
                ask = Ask(guard.LESS_RETENTION, scope, exactly)
                guarded.require_approval(control, connection, caller, owner["id"], ask)
            catalog.change(connection, found["id"], text, now, caller.principal_id)
            for user in catalog.users(connection, found["id"]):
                scheduling.plan_instance(control, connection, user["id"], asked)
        before = {} if found is None else json.loads(found["properties"])
        what = ("policy/write", scope)
        audit.append(connection, now, caller, what, before=before, after=json.loads(text))
        return need_policy(connection, owner["id"], name)


def _completed(properties: dict[str, Any]) -> dict[str, Any]:
    """What Azure adds to a policy, and no more: its discriminator, and the id of each tag."""
    named = bool(arm.pick(properties, "objectType"))
    told = properties if named else {"objectType": "BackupPolicy", **properties}
    for rule in arm.pick(told, "policyRules") or []:
        trigger = arm.pick_object(rule, "trigger")
        for criterion in arm.pick(trigger, "taggingCriteria") or []:
            info = arm.pick(criterion, "tagInfo")
            if isinstance(info, dict) and not arm.pick(info, "id"):
                info["id"] = f"{arm.pick_text(info, 'tagName')}_"
    return told


def get_policy(control: Control, caller: Caller, vault: VaultRef, name: str) -> sa.RowMapping:
    """One policy."""
    with control.database.reading() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        return need_policy(connection, need_vault(connection, vault)["id"], name)


def list_policies(control: Control, caller: Caller, vault: VaultRef) -> list[sa.RowMapping]:
    """The policies of a vault."""
    with control.database.reading() as connection:
        scope = arm.vault_id_of(control.installation.subscription_id, vault)
        require(control, connection, caller, READ, scope)
        return catalog.list_of_vault(connection, need_vault(connection, vault)["id"])


def list_versions(
    control: Control, caller: Caller, vault: VaultRef, name: str
) -> list[sa.RowMapping]:
    """What a policy has said since it was made, the newest version first."""
    with control.database.reading() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        found = need_policy(connection, need_vault(connection, vault)["id"], name)
        return catalog.versions(connection, found["id"])


def delete_policy(control: Control, caller: Caller, vault: VaultRef, name: str) -> bool:
    """A policy that protects nothing goes. False when there was none."""
    with control.database.writing() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, DELETE, scope)
        found = catalog.find(connection, need_vault(connection, vault)["id"], name)
        if found is None:
            return False
        users = [row["name"] for row in catalog.users(connection, found["id"])]
        if users:
            raise Conflict(
                f"policy {found['name']} protects {', '.join(users[:10])}"
                + (f" and {len(users) - 10} more backup instances" if users[10:] else ""),
                hint="give them another policy first",
                code="UserErrorDppPolicyObjectInUse",
            )
        catalog.remove(connection, found["id"])
        now = control.clock.now()
        before = json.loads(found["properties"])
        audit.append(connection, now, caller, ("policy/delete", scope), before=before)
        return True


def need_policy(connection: sa.Connection, vault_id: str, name: str) -> sa.RowMapping:
    """The policy, or NotFound."""
    found = catalog.find(connection, vault_id, name)
    if found is None:
        raise NotFound(
            f"there is no backup policy {name[:150]!r} in this vault",
            hint="create it first: PUT .../backupPolicies/NAME",
            code="ResourceNotFound",
        )
    return found
