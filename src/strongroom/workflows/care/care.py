"""The care of what lies in storage: it may take hours, so it has a thread of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from strongroom.catalog.points import holds, point_history, recovery_points
from strongroom.catalog.protection import instances
from strongroom.catalog.usage import usage
from strongroom.control.points.drills import may_be_due
from strongroom.model.errors import StoreUnavailable, VaultError
from strongroom.model.ids import InstanceId
from strongroom.workflows.backup.promote import promote
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.set_back import Freeze
from strongroom.workflows.basis.ticking import Ticking
from strongroom.workflows.care.anchoring import examine_chain, write_anchor
from strongroom.workflows.care.measuring import day_of, measure_due
from strongroom.workflows.care.second_copy import watch_second
from strongroom.workflows.expiry.expire import expire
from strongroom.workflows.expiry.holding import settle_holds
from strongroom.workflows.expiry.purge import purge_due
from strongroom.workflows.garbage.collect import collect
from strongroom.workflows.keys.key_census import check_keys
from strongroom.workflows.proof.census import take_due
from strongroom.workflows.proof.damage import ask_for_damage
from strongroom.workflows.proof.drills_due import drill_due
from strongroom.workflows.proof.lost import look_for_lost
from strongroom.workflows.rebuild.snapshots import Snapshots

ANCHOR_SECONDS = 900.0
SNAPSHOT_SECONDS = 15.0
EXAMINE_SECONDS = 86_400.0
CENSUS_SECONDS = 60.0  # between looks for whose turn it is
DAMAGE_SECONDS = 3600.0
DRILL_SECONDS = 300.0
EXPIRY_SECONDS = 3600.0
PURGE_SECONDS = 3600.0
COLLECT_SECONDS = 86_400.0
KEYS_SECONDS = 86_400.0
SECOND_SECONDS = 3600.0
USAGE_SECONDS = 3600.0  # between looks for what was not measured today

log = structlog.get_logger()


class Care(Ticking):
    """Censuses of receipts and keys, what the scrub has found, expiry, collection of garbage."""

    def __init__(self, means: Means) -> None:
        super().__init__("care", means.control.clock)
        freeze = Freeze(means.control)
        self.add("audit", EXAMINE_SECONDS, partial(examine_chain, means))
        self.add("anchor", ANCHOR_SECONDS, freeze.over(partial(write_anchor, means)))
        self.add("snapshot", SNAPSHOT_SECONDS, freeze.over(Snapshots(means).keep))
        self.add("census", CENSUS_SECONDS, partial(_census, means))
        self.add("damage", DAMAGE_SECONDS, partial(in_each, means, ask_for_damage))
        self.add("lost", EXAMINE_SECONDS, partial(in_each, means, look_for_lost))
        self.add("holds", PURGE_SECONDS, partial(settle_all_holds, means))
        self.add("promotion", EXPIRY_SECONDS, freeze.over(partial(promote_all, means)))
        self.add("expiry", EXPIRY_SECONDS, freeze.over(partial(expire_all, means)))
        self.add("drills", DRILL_SECONDS, partial(drill_all, means))
        self.add("keys", KEYS_SECONDS, partial(in_each, means, check_keys))
        self.add("purge", PURGE_SECONDS, freeze.over(partial(purge_due, means)))
        self.add("usage", USAGE_SECONDS, partial(measure_all, means))
        self.add("second", SECOND_SECONDS, partial(_second, means))
        self.add("garbage", COLLECT_SECONDS, freeze.over(partial(in_each, means, collect)))


def _census(means: Means) -> None:
    take_due(means)


def _second(means: Means) -> None:
    watch_second(means)


# Of these one question finds the few instances that want anything: of a thousand one each would
# be a thousand transactions.


def settle_all_holds(means: Means) -> None:
    """Where a hold is being released."""
    in_each(means, settle_holds, holds.instances_releasing)


def promote_all(means: Means) -> None:
    """Where a point was accepted."""
    in_each(means, promote, point_history.instances_awaiting_promotion)


def expire_all(means: Means) -> None:
    """Where a point is over."""
    at = means.control.earliest()
    in_each(means, expire, partial(recovery_points.instances_with_ended, now=at))


def drill_all(means: Means) -> None:
    """Where a drill may be due."""
    in_each(means, drill_due, partial(may_be_due, now=means.control.clock.now()))


def measure_all(means: Means) -> None:
    """What was not measured today."""
    day = day_of(means.control.clock.now())
    in_each(means, measure_due, partial(usage.not_noted, day=day))


def in_each(
    means: Means,
    work: Callable[[Means, InstanceId], Any],
    among: Callable[[sa.Connection], list[InstanceId]] = instances.list_ids,
) -> None:
    """Do it for every container, or `among` some; one for which it fails holds up no other.

    Raises StoreUnavailable when storage is gone: the others would fare no better.
    """
    with means.control.database.reading() as connection:
        found = among(connection)
    for instance_id in found:
        try:
            work(means, instance_id)
        except VaultError as error:
            told = {"code": error.code, "message": error.message}
            log.warning("care.failed", instance=instance_id, **told)
            if isinstance(error, StoreUnavailable):
                means.storage.containers()  # raises too when it is not this one alone
