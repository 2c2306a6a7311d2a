"""Drills by the clock: begin what an instance's settings ask for, and tell of what is late."""

import structlog

from strongroom.catalog.points import drills, recovery_points
from strongroom.catalog.protection import protection
from strongroom.control.points.drills import fire_due_drill
from strongroom.model.ids import InstanceId
from strongroom.model.points.drill_turns import is_late
from strongroom.model.protection.backup_settings import settings_of
from strongroom.workflows.basis.means import Means

log = structlog.get_logger()


def drill_due(means: Means, instance_id: InstanceId) -> None:
    """One look at one instance. Safe twice: a drill that is under way is not due."""
    job = fire_due_drill(means.control, instance_id)
    if job is not None:
        log.info("drill.fired", instance=instance_id, job=job)
        _tell_if_late(means, instance_id)


def _tell_if_late(means: Means, instance_id: InstanceId) -> None:
    """With each try, of which there is one a day while none comes to a verdict."""
    with means.control.database.reading() as connection:
        found = protection.by_id(connection, instance_id)
        points = recovery_points.list_of_instance(connection, instance_id)
        last = max(drills.last_of_points(connection, instance_id).values(), default=None)
    days = settings_of(found.properties).drill_days
    oldest = min((point.committed_at for point in points), default=None)
    if is_late(days, oldest, last, means.control.clock.now()):
        told = last.format_iso() if last else ""
        log.error("drill.late", instance=instance_id, server=found.server_name, last=told)
