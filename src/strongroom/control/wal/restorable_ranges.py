"""Between which times any moment can be restored, and not only those of recovery points.

Such a range needs the whole WAL between its ends beside a recovery point.
"""

import msgspec
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.wal.wal_coverage import every_kept
from strongroom.control.wal.wal_moments import every_time
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.identities.access import Caller

FIND = "Microsoft.DataProtection/backupVaults/backupInstances/findRestorableTimeRanges/action"


class TimeRange(msgspec.Struct, frozen=True):
    """Every moment from `start` to `end` can be restored."""

    start: Instant
    end: Instant


def find_ranges(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    instance_name: str,
    between: tuple[Instant | None, Instant | None],
) -> list[TimeRange]:
    """The ranges that lie, at least in part, `between`; the oldest first, cut to those ends.

    None where the log is not streamed; none goes across a hole in it.
    """
    with control.database.reading() as connection:
        scope = instance_id_of(control.installation.subscription_id, vault, instance_name)
        require(control, connection, caller, FIND, scope)
        found = protection.by_name(connection, vault.resource_group, vault.name, instance_name)
        points = recovery_points.outline_of_instance(connection, found.instance_id)
        times = every_time(connection, every_kept(connection, found, points))
        known = [TimeRange(start, end) for start, end in times]
    first, last = between
    cut = [
        TimeRange(max(r.start, first) if first else r.start, min(r.end, last) if last else r.end)
        for r in known
    ]
    return [r for r in cut if r.start <= r.end]
