"""What the vault that protects a server promises for it: Azure's `backup` of a flexible server."""

import msgspec
from whenever import Instant

from strongroom.catalog import instances as catalog
from strongroom.catalog import vaults
from strongroom.control import instances
from strongroom.control.access import may
from strongroom.control.control import Control
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.arm import VaultRef
from strongroom.model.operational_tier import operational_days
from strongroom.model.protection_state import SOFT_DELETED
from strongroom.model.vault import IMMUTABILITY, immutability_of


class ServerBackup(msgspec.Struct, frozen=True):
    """`days`: how far back every second can be restored; 0: recovery points alone."""

    days: int
    has_second_copy: bool
    is_immutable: bool
    oldest_point_at: Instant | None


def find_backup(control: Control, caller: Caller, server_id: str) -> ServerBackup | None:
    """None where nothing protects the server, or the caller may not look at what does."""
    with control.database.reading() as connection:
        row = catalog.of_server(connection, server_id)
        if row is None or row["state"] == SOFT_DELETED:
            return None
        ref = VaultRef(resource_group=row["vault_group"], name=row["vault_name"])
        place = arm.instance_id_of(control.installation.subscription_id, ref, row["name"])
        if not may(connection, caller, instances.READ, place):
            return None
        vault = vaults.of_instance(connection, row["id"])
    return ServerBackup(
        days=operational_days(row["properties"], row["policy"]),
        has_second_copy=control.second is not None,
        is_immutable=immutability_of(vault["properties"]) != IMMUTABILITY[0],
        oldest_point_at=row["oldest_point_at"],
    )
