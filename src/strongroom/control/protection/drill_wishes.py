"""How often what a policy protects is drilled: a setting of each instance, told of all at once."""

from collections.abc import Sequence

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances as catalog
from strongroom.catalog.resources import policies
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.protection.instances import WRITE
from strongroom.control.protection.policies import need_policy
from strongroom.control.resources.vaults import need_vault
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.protection.backup_settings import read_settings, settings_of


def drill_days_of(control: Control, ids: Sequence[str]) -> set[int]:
    """The days between two drills that these instances ask for; 0: they ask for none."""
    wanted = set(ids)
    with control.database.reading() as connection:
        found = catalog.properties_of_all(connection)
    return {settings_of(each).drill_days for of, each in found.items() if of in wanted}


def wish_drills(control: Control, caller: Caller, vault: VaultRef, name: str, days: int) -> int:
    """Every instance under the policy is drilled once in so many days from now on; 0: never.

    How many were changed. Raises Invalid, and Forbidden where one of them may not be changed.
    """
    read_settings({"drillDays": days})
    subscription, now, count = control.installation.subscription_id, control.clock.now(), 0
    with control.database.writing() as connection:
        policy = need_policy(connection, need_vault(connection, vault)["id"], name)
        asked = catalog.properties_of_all(connection)
        for user in policies.users(connection, policy["id"]):
            properties = asked.get(user["id"])
            if properties is None or settings_of(properties).drill_days == days:
                continue
            scope = arm.instance_id_of(subscription, vault, user["name"])
            require(control, connection, caller, WRITE, scope)
            before = settings_of(properties).to_dict()
            after = {**before, "drillDays": days}
            ours = {**(properties.get("strongroom") or {}), "settings": after}
            catalog.change(connection, user["id"], properties={**properties, "strongroom": ours})
            told = ("instance/write", scope)
            audit.append(connection, now, caller, told, before=before, after=after)
            count += 1
    return count
