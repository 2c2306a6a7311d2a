"""Legal holds as JSON in ARM's form; Azure has none on backup instances."""

from typing import Any

from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.points.hold import HELD, RELEASING, SETTING
from strongroom.web.api.wire import Row, instant

_PROVISIONING = {
    SETTING: "Provisioning",
    HELD: "Succeeded",
    RELEASING: "Deleting",
}


def hold(subscription: str, ref: VaultRef, instance_name: str, row: Row) -> dict[str, Any]:
    """`recoveryPointId` null: the whole instance, and the points that it will have."""
    home = arm.instance_id_of(subscription, ref, instance_name)
    return {
        "id": f"{home}/legalHolds/{row['name']}",
        "name": row["name"],
        "type": "Microsoft.DataProtection/backupVaults/backupInstances/legalHolds",
        "properties": {
            "provisioningState": _PROVISIONING[row["state"]],
            "recoveryPointId": row["point_id"],
            "reason": row["reason"],
            "setBy": row["set_by"],
            "setAt": instant(row["set_at"]),
        },
    }
