"""Release the expiry of an instance that an anomaly or a failed drill holds."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import expiry_holds, point_history
from strongroom.catalog.protection import protection
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.resources import guard

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/releaseExpiry/action"


def release_expiry(
    control: Control, caller: Caller, vault: VaultRef, name: str, request_key: str
) -> OperationId:
    """What looks wrong is as it should be, says a person: the elders expire again, audited.

    Every point until now is trusted from then on. Raises Precondition when nothing holds.
    """
    scope = instance_id_of(control.installation.subscription_id, vault, name)

    def release(connection: sa.Connection) -> dict[str, Any]:
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        held = expiry_holds.list_of_instance(connection, found.instance_id)
        if not held:
            raise Precondition(
                f"nothing holds the expiry of {found.instance_name}",
                hint="Look again: strongroom status",
            )
        reasons = [f"{each.recovery_point_id}: {each.why}" for each in held]
        ask = Ask(guard.RELEASE_EXPIRY, scope, {"held": reasons})
        guarded.require_approval(control, connection, caller, found.vault_id, ask)
        now = control.clock.now()
        for each in held:
            expiry_holds.release(connection, found.instance_id, each)
            told = {"kind": each.kind, "why": each.why, "instance": found.instance_name}
            what = ("expiry/release", each.recovery_point_id)
            audit.append(connection, now, caller, what, told)
        for accepted in point_history.accept_until(connection, found.instance_id, now):
            point_history.ask_promotion(connection, accepted, "a person has accepted it")
        return {}

    return long_running.act_once(control, caller, ACTION, scope, request_key, release)
