"""Take a server out of the register. Its agent goes on, and is asked nothing of it any more."""

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances, removal
from strongroom.catalog.resources import servers as catalog
from strongroom.catalog.resources import vaults
from strongroom.catalog.work import jobs
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict
from strongroom.model.identities.access import Caller
from strongroom.model.protection.protection_state import SOFT_DELETED

DELETE = "Microsoft.DBforPostgreSQL/flexibleServers/delete"


def delete_server(control: Control, caller: Caller, group: str, name: str) -> None:
    """One that no backup instance needs. Safe twice. Raises Conflict that names what needs it."""
    with control.database.writing() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, DELETE, scope)
        found = catalog.find(connection, group, name)
        if found is None:
            return
        kept = in_the_way(control, connection, found["id"])
        if kept:
            raise Conflict(
                f"server {found['name']} is needed by {kept[0]}",
                hint="wait for a job, or cancel it; of an instance delete the backups first, "
                "and purge them",
                code="ResourceInUse",
                facts={"details": [{"code": "InUse", "message": k, "target": k} for k in kept]},
            )
        delete_found(control, connection, caller, scope, found)


def in_the_way(control: Control, connection: sa.Connection, server_id: str) -> list[str]:
    """What needs a server: its backup instance, a soft-deleted one too; a job of its own."""
    subscription, kept = control.installation.subscription_id, []
    row = instances.of_server(connection, server_id)
    if row is not None:
        vault = vaults.of_instance(connection, row["id"])
        ref = VaultRef(resource_group=vault["resource_group"], name=vault["name"])
        kind = "deletedBackupInstances" if row["state"] == SOFT_DELETED else "backupInstances"
        kept.append(f"{arm.vault_id_of(subscription, ref)}/{kind}/{row['name']}")
    return kept + [f"job {job}" for job in jobs.running_of_server(connection, server_id)]


def delete_found(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    scope: str,
    found: sa.RowMapping,
) -> None:
    """A server that nothing needs, with the rows of its long-term backups."""
    removal.remove_server(connection, found["id"])
    before = {name: found[name] for name in ("agent_id", "agent_server", "tags")}
    now, what = control.clock.now(), ("server/delete", scope)
    audit.append(connection, now, caller, what, before=before)
