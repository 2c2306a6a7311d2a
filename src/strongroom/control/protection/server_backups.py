"""What the vault that protects a server promises for it: Azure's `backup` of a flexible server."""

import msgspec
import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.protection import instances as catalog
from strongroom.catalog.resources import vaults
from strongroom.control.basis.access import may
from strongroom.control.basis.control import Control
from strongroom.control.protection import instances
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.protection.protection_state import SOFT_DELETED
from strongroom.model.resources.vault import IMMUTABILITY, immutability_of


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
        return _tell(control, connection, caller, row, _immutable(connection))


def find_backups(control: Control, caller: Caller) -> dict[str, ServerBackup]:
    """By server, of all that are protected and that the caller may look at."""
    with control.database.reading() as connection:
        locked = _immutable(connection)
        found = {
            str(row["server_id"]): _tell(control, connection, caller, row, locked)
            for row in catalog.list_protected(connection)
        }
    return {server_id: told for server_id, told in found.items() if told is not None}


def _immutable(connection: sa.Connection) -> set[str]:
    """The vaults whose points storage holds to their end."""
    return {
        vault["id"]
        for vault in vaults.list_of_group(connection, None)
        if immutability_of(vault["properties"]) != IMMUTABILITY[0]
    }


def _tell(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    row: sa.RowMapping,
    immutable: set[str],
) -> ServerBackup | None:
    ref = VaultRef(resource_group=row["vault_group"], name=row["vault_name"])
    place = arm.instance_id_of(control.installation.subscription_id, ref, row["name"])
    if not may(connection, caller, instances.READ, place):
        return None
    return ServerBackup(
        days=operational_days(row["properties"], row["policy"]),
        has_second_copy=control.second is not None,
        is_immutable=row["vault_id"] in immutable,
        oldest_point_at=row["oldest_point_at"],
    )
