"""Look at what is wrong with what lies in storage."""

from typing import Any

from strongroom.catalog.points import storage_findings
from strongroom.catalog.protection import protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller

ACTION = "Microsoft.DataProtection/backupVaults/backupInstances/storageFindings/read"


def list_storage_findings(
    control: Control, caller: Caller, vault: VaultRef, instance_name: str
) -> list[dict[str, Any]]:
    """{name, kind, problem, found_at} of each object of an instance that is not as it should be.

    kind: quarantined (a receipt that no point stands behind), damaged (by the store's own scrub),
    unreadable (it stops the collection of garbage), missing (a point needs it), unlocked (it was,
    and is locked again).
    """
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        rows = storage_findings.list_of_instance(connection, found.instance_id)
        return [dict(row) for row in rows]
