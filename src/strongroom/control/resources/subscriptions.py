"""The one subscription and its resource groups."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import resource_groups as catalog
from strongroom.control.basis.access import may, may_see_subscription, require
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.errors import NotFound
from strongroom.model.identities.access import Caller

READ_SUBSCRIPTION = "Microsoft.Resources/subscriptions/read"
READ = "Microsoft.Resources/subscriptions/resourceGroups/read"
WRITE = "Microsoft.Resources/subscriptions/resourceGroups/write"


def sees_subscription(control: Control, caller: Caller) -> bool:
    """Whether the caller holds any role here at all."""
    with control.database.reading() as connection:
        return may_see_subscription(connection, caller)


def get_subscription(control: Control, caller: Caller) -> None:
    """NotFound when the caller holds no role here."""
    if not sees_subscription(control, caller):
        raise NotFound("the subscription is not there, or not for you to see")


def put_group(
    control: Control, caller: Caller, name: str, body: dict[str, Any]
) -> tuple[sa.RowMapping, bool]:
    """Create a resource group, or change its tags. Returns it, and whether it is new."""
    arm.check_name("group", name)
    tags = arm.read_tags(body)
    location = arm.need_location(body)
    with control.database.writing() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, WRITE, scope)
        found = catalog.find(connection, name)
        now = control.clock.now()
        if found is None:
            row = {
                "name_key": name.lower(),
                "name": name,
                "location": location,
                "tags": tags or {},
                "created_at": now,
            }
            catalog.add(connection, row)
            what, after = ("resourceGroup/create", scope), {"tags": tags or {}}
            audit.append(connection, now, caller, what, after=after)
        elif tags is not None and tags != found["tags"]:
            catalog.change(connection, name, tags=tags)
            what, before = ("resourceGroup/change", scope), {"tags": found["tags"]}
            audit.append(connection, now, caller, what, before=before, after={"tags": tags})
        return need_group(connection, name), found is None


def get_group(control: Control, caller: Caller, name: str) -> sa.RowMapping:
    """One resource group."""
    with control.database.reading() as connection:
        scope = arm.group_id_of(control.installation.subscription_id, name)
        require(control, connection, caller, READ, scope)
        return need_group(connection, name)


def list_groups(control: Control, caller: Caller) -> list[sa.RowMapping]:
    """The resource groups that the caller may see."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        return [
            row
            for row in catalog.list_all(connection)
            if may(connection, caller, READ, arm.group_id_of(subscription, row["name"]))
        ]


def need_group(connection: sa.Connection, name: str) -> sa.RowMapping:
    """The group, or NotFound."""
    found = catalog.find(connection, name)
    if found is None:
        raise NotFound(
            f"Resource group '{name[:90]}' could not be found.",
            hint="create it first: PUT /subscriptions/.../resourceGroups/NAME",
            code="ResourceGroupNotFound",
        )
    return found


def check_catalogue(control: Control) -> None:
    """One look: whoever cannot read the catalogue cannot work."""
    with control.database.reading() as connection:
        catalog.list_all(connection)
