"""Stop, suspend and resume the protection of a server."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.protection import scheduling
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.protection_state import (
    ABLE,
    RESUME_PROTECTION,
    STOP,
    SUSPEND,
    Act,
    next_step,
)
from strongroom.model.resources import guard

GUARDED = {
    STOP: guard.STOP_PROTECTION,
    SUSPEND: guard.SUSPEND_BACKUPS,
    RESUME_PROTECTION: guard.RESUME_PROTECTION,
}
_ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/{}/action"


def action_of(act: Act) -> str:
    """What a caller must be allowed to do."""
    return _ACTION.format(act.name)


def change_state(
    control: Control, caller: Caller, vault: VaultRef, name: str, act: Act, request_key: str
) -> OperationId:
    """Lead an instance into the act's state; one that is there already stays. Ends at once.

    Raises Precondition from a state that does not lead there. A backup under way goes on.
    """
    scope = instance_id_of(control.installation.subscription_id, vault, name)

    def begin(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        if found.state == act.after:
            return {}
        if found.state not in act.before:
            raise Precondition(
                f"{found.instance_name} is {found.state}: {act.name} is for what is "
                + " or ".join(sorted(act.before)),
                hint=next_step(found.state),
            )
        if act in GUARDED and _takes_away(control, connection, found, act):
            ask = Ask(GUARDED[act], scope, {"from": found.state, "to": act.after})
            guarded.require_approval(control, connection, caller, found.vault_id, ask)
        protection.set_state(connection, found.instance_id, act.after)
        # None where the new state takes no backups: what was missed is not caught up.
        policy = parse_policy(found.policy)
        scheduling.plan_instance(control, connection, found.instance_id, policy)
        now = control.clock.now()
        what = (f"instance/{act.name}", scope)
        states = {"before": {"state": found.state}, "after": {"state": act.after}}
        audit.append(connection, now, caller, what, **states)
        if act.after in ABLE:
            operation = f"expire:{found.instance_id}:{now.timestamp(unit='microsecond')}"
            control.jobs.enqueue(connection, "expire-instance", operation, found.instance_id)
        return {}

    return long_running.act_once(control, caller, action_of(act), scope, request_key, begin)


def _takes_away(
    control: Control, connection: sa.Connection, found: protection.Protection, act: Act
) -> bool:
    """Whether it does: to resume does where points past their time were kept meanwhile."""
    if act != RESUME_PROTECTION:
        return True
    points = recovery_points.list_of_instance(connection, found.instance_id)
    return any(point.expires_at <= control.clock.now() for point in points)
