"""Drills by the clock: begin what an instance's settings ask for, and say once what is late."""

import structlog

from strongroom.control.drills import fire_due_drill
from strongroom.model.ids import InstanceId
from strongroom.workflows.means import Means

log = structlog.get_logger()


def drill_due(means: Means, instance_id: InstanceId) -> None:
    """One look at one instance. Safe twice: a drill that is under way is not due."""
    job = fire_due_drill(means.control, instance_id)
    if job is not None:
        log.info("drill.fired", instance=instance_id, job=job)
