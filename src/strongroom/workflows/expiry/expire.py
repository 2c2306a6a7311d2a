"""Points whose time is over leave the catalogue, then storage: the manifest first, packs later.

The row says `Expired` in the transaction that found it over, with an audit record that says why;
from then on nobody lists it, restores it or leans on it. Its manifest goes, and what no other
receipt names is garbage (collect.py). The receipt stays: it is the proof of what was there, and of
the time until which it had to be. Whoever dies in between is followed by the next pass.
"""

from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import expiry_holds, holds, point_history, recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs
from strongroom.durable.engine import Story
from strongroom.model.ids import InstanceId
from strongroom.model.points.expiry import Ending, plan
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.protection_state import KEPT
from strongroom.workflows.basis import held_expiry
from strongroom.workflows.basis.means import Means
from strongroom.workflows.wal.wal_expiry import base_of_log

log = structlog.get_logger()


def expire(means: Means, instance_id: InstanceId) -> list[Ending]:
    """One pass over one instance; returns what was over, gone or not, and why.

    Raises StoreError when the endpoint cannot be asked: the next pass goes on.
    """
    control = means.control
    with control.database.reading() as connection:
        if not recovery_points.has_ended(connection, instance_id, control.earliest()):
            return []
    with control.database.writing() as connection:
        now = control.earliest()
        points = recovery_points.list_of_instance(connection, instance_id)
        busy = jobs.is_busy(connection, instance_id)
        endings = plan(points, now, busy=busy, stays=_stays(connection, instance_id, points))
        for ending in endings:
            if ending.goes:
                recovery_points.set_state(connection, ending.point.id, recovery_points.EXPIRED)
                told = {"why": ending.why, "expires": ending.point.expires_at.format_iso()}
                what = ("recoveryPoint/expire", ending.point.id)
                audit.append(connection, now, "service", what, told)
        expired = recovery_points.list_expired(connection, instance_id)
    for point in expired:
        _delete_manifest(means, instance_id, point)
    return endings


def expire_instance(means: Means, story: Story, instance_id: InstanceId) -> None:
    """The durable story behind resumed backups: what has ended meanwhile goes now."""
    story.step("expire", _expire, means, instance_id)


def _expire(means: Means, instance_id: InstanceId) -> None:
    expire(means, instance_id)


def _stays(
    connection: sa.Connection, instance_id: InstanceId, points: Sequence[RecoveryPoint]
) -> dict[str, str]:
    """Point -> what keeps it whatever its age: the instance's state, a legal hold, an anomaly."""
    state = protection.by_id(connection, instance_id).state
    if state in KEPT:
        return dict.fromkeys((point.id for point in points), KEPT[state])
    suspect = held_expiry.keeps(expiry_holds.list_of_instance(connection, instance_id), points)
    held = holds.names_on(connection, instance_id, [point.id for point in points])
    named = {point: f"it is held by {', '.join(names)}" for point, names in held.items()}
    waiting = dict.fromkeys(
        point_history.awaiting_promotion(connection, instance_id), "its tag is decided anew"
    )
    return {**waiting, **suspect, **base_of_log(connection, instance_id, points), **named}


def _delete_manifest(means: Means, instance_id: InstanceId, point: str) -> None:
    """One that the endpoint keeps (a lock, a hold) is asked for again in the next pass.

    Of a point that ends before its receipt says so the receipt goes first: a manifest that is gone
    before its time is damage (datastore/care/garbage.py).
    """
    control = means.control
    with control.database.reading() as connection:
        early = recovery_points.ends_early(connection, point)
    view = means.storage.account_view(instance_id)
    names = [f"p/{point}.receipt"] if early else []
    for name in (*names, f"p/{point}.manifest"):
        if not view.delete(name):
            log.info("recovery_point.retained", instance=instance_id, point=point, name=name)
            return
    with control.database.writing() as connection:
        recovery_points.set_state(connection, point, recovery_points.DELETED)
        what = ("recoveryPoint/delete", point)
        audit.append(connection, control.clock.now(), "service", what)
    log.info("recovery_point.expired", instance=instance_id, point=point)
