"""The one subscription and its resource groups."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog import audit, resources
from strongroom.catalog.tables import resource_groups
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.errors import NotFound

READ = "Microsoft.Resources/subscriptions/resourceGroups/read"
WRITE = "Microsoft.Resources/subscriptions/resourceGroups/write"


def put_group(control: Control, caller: Caller, name: str, body: dict[str, Any]) -> sa.RowMapping:
    """Create a resource group, or find it."""
    arm.check_name("group", name)
    with control.database.writing() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, WRITE, scope)
        found = resources.group(connection, name)
        if found is None:
            now = control.clock.now()
            row = {
                "name_key": name.lower(),
                "name": name,
                "location": str(body.get("location") or control.installation.location),
                "tags": body.get("tags") or {},
                "created_at": now,
            }
            resources.add(connection, resource_groups, row)
            audit.append(connection, now, caller.principal_id, ("resourceGroup/create", name))
        return need_group(connection, name)


def get_group(control: Control, caller: Caller, name: str) -> sa.RowMapping:
    """One resource group."""
    with control.database.reading() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, READ, scope)
        return need_group(connection, name)


def list_groups(control: Control, caller: Caller) -> list[sa.RowMapping]:
    """All resource groups."""
    with control.database.reading() as connection:
        scope = arm.subscription_id_of(control.installation.subscription_id)
        require(control, connection, caller, READ, scope)
        return resources.groups(connection)


def need_group(connection: sa.Connection, name: str) -> sa.RowMapping:
    """The group, or NotFound."""
    found = resources.group(connection, name)
    if found is None:
        raise NotFound(
            f"Resource group '{name[:90]}' could not be found.",
            hint="create it first",
            code="ResourceGroupNotFound",
        )
    return found
