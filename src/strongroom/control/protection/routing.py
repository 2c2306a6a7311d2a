"""From a resource to the backup instances that protect it."""

import sqlalchemy as sa

from strongroom.catalog.protection import instances as catalog
from strongroom.catalog.resources import servers, vaults
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.protection import instances
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Forbidden, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.protection.protection_state import SOFT_DELETED

ACTION = "Microsoft.DataProtection/backupInstances/read"


def list_protecting(control: Control, caller: Caller, resource: str) -> list[sa.RowMapping]:
    """The instances that protect a server, in whichever vault the caller may look into."""
    subscription = control.installation.subscription_id
    named = arm.read_server_id(resource, subscription)
    with control.database.reading() as connection:
        scope = arm.server_id_of(subscription, named.resource_group, named.name)
        require(control, connection, caller, ACTION, scope)
        server = servers.find(connection, named.resource_group, named.name)
        row = None if server is None else catalog.of_server(connection, server["id"])
        if row is None or row["state"] == SOFT_DELETED:
            return []
        owner = vaults.of_instance(connection, row["id"])
        ref = VaultRef(resource_group=owner["resource_group"], name=owner["name"])
        place = arm.instance_id_of(subscription, ref, row["name"])
        try:
            require(control, connection, caller, instances.READ, place)
        except (Forbidden, NotFound):
            return []
        return [row]
