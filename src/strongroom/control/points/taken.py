"""When points were taken and how much was new, whether they are there still or have ended."""

from whenever import Instant

from strongroom.catalog.points import recovery_points as catalog
from strongroom.catalog.protection import protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.points.recovery_points import ACTION
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller

_DAYS = 372


def taken_lately(
    control: Control, caller: Caller, vault: VaultRef, name: str
) -> list[tuple[Instant, int]]:
    """(when, bytes stored anew) of the last year's points of an instance."""
    since = control.clock.now().subtract(hours=24 * _DAYS)
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, name)
        require(control, connection, caller, ACTION, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, name)
        return catalog.taken_since(connection, found.instance_id, since)
