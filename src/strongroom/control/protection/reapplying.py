"""Apply a policy, as it is now, to the points that exist: only when somebody asks for it."""

from collections.abc import Mapping

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import holds, recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import policies, vaults
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection.policies import READ, need_policy
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.ids import InstanceId, OperationId
from strongroom.model.points.reapply import Change, plan
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.protection_state import KEPT
from strongroom.model.resources import guard
from strongroom.model.resources.vault import immutability_of

ACTION = "Microsoft.DataProtection/backupVaults/backupPolicies/applyToPoints/action"


def plan_application(
    control: Control, caller: Caller, vault: VaultRef, name: str
) -> list[tuple[str, Change]]:
    """(instance, what would change) of every point that the policy says something else of."""
    with control.database.reading() as connection:
        scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, READ, scope)
        found = need_policy(connection, need_vault(connection, vault)["id"], name)
        return _changes(connection, found)


def apply_policy(
    control: Control, caller: Caller, vault: VaultRef, name: str, request_key: str
) -> OperationId:
    """Begin it; the operation ends when every point has its new end, and its lock.

    Raises Forbidden where something would be kept less and a second person has not approved.
    """
    scope = arm.policy_id_of(control.installation.subscription_id, vault, name)
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, ACTION, scope)
        owner = need_vault(connection, vault)
        found = need_policy(connection, owner["id"], name)
        shorter = [each.point.id for _, each in _changes(connection, found) if each.shorter]
        if shorter:
            exactly = {"policy": name, "version": found["version"], "shorter": len(shorter)}
            ask = Ask(guard.LESS_RETENTION, scope, exactly)
            guarded.require_approval(control, connection, caller, owner["id"], ask)
        operation = long_running.begin_operation(
            control, connection, caller, ("applyToPoints", scope), request_key
        )
        told = {"version": found["version"], "shorter": len(shorter)}
        now = control.clock.now()
        audit.append(connection, now, caller, ("policy/applyToPoints", scope), told)
        story = f"apply-policy:{operation}"
        control.jobs.enqueue(connection, "apply-policy", story, found["id"], operation)
        return operation


def changes_of(connection: sa.Connection, instance_id: InstanceId, policy: str) -> list[Change]:
    """What a policy's text says otherwise of an instance's points; where it may not, why not."""
    points = recovery_points.list_of_instance(connection, instance_id)
    state = protection.by_id(connection, instance_id).state
    stays: Mapping[str, str]
    if state in KEPT:
        stays = dict.fromkeys((point.id for point in points), KEPT[state])
    else:
        held = holds.names_on(connection, instance_id, [point.id for point in points])
        stays = {str(point): f"it is held by {', '.join(names)}" for point, names in held.items()}
    settings = vaults.of_instance(connection, instance_id)["properties"]
    immutable = immutability_of(settings) != "Disabled"
    return plan(parse_policy(policy), points, immutable=immutable, stays=stays)


def _changes(connection: sa.Connection, policy: sa.RowMapping) -> list[tuple[str, Change]]:
    return [
        (user["name"], change)
        for user in policies.users(connection, policy["id"])
        for change in changes_of(connection, user["id"], policy["properties"])
    ]
