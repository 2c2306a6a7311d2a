"""A point that looked wrong and was accepted gets the tag that its schedule would have given it.

It was committed with the default tag (strangeness.py). A drill that it passed, or a person, asks
for this in the transaction that accepts it; until it is done the point does not expire. The lock
comes first, then the row: whoever dies in between is followed by the next pass.
"""

from dataclasses import replace

import structlog

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import point_history, recovery_points
from strongroom.catalog.work import jobs
from strongroom.model.ids import InstanceId
from strongroom.model.points.retention import Verdict
from strongroom.workflows.backup.commit import tag_of
from strongroom.workflows.basis.locking import extend_point
from strongroom.workflows.basis.means import Means

log = structlog.get_logger()


def promote(means: Means, instance_id: InstanceId) -> None:
    """One pass over one instance, the oldest first: each is looked back on by those after it.

    Raises StoreError when storage cannot be asked: the next pass goes on.
    """
    with means.control.database.reading() as connection:
        waiting = point_history.awaiting_promotion(connection, instance_id)
    for point_id in waiting:
        _promote(means, instance_id, point_id)


def _promote(means: Means, instance_id: InstanceId, point_id: str) -> None:
    with means.control.database.reading() as connection:
        point = recovery_points.get(connection, instance_id, point_id)
        job = jobs.get(connection, point.job_id)
    before_it = point.taken_at.subtract(microseconds=1)
    verdict = tag_of(means, job, before_it, is_strange=False)
    if verdict.tag == point.tag or verdict.expires_at < point.expires_at:
        verdict = replace(verdict, expires_at=point.expires_at)
    else:
        extend_point(means, instance_id, point_id, verdict.expires_at)
    _record(means, instance_id, point_id, verdict)


def _record(means: Means, instance_id: InstanceId, point_id: str, verdict: Verdict) -> None:
    """Looked at again: meanwhile it may have gone, or be kept longer. It never ends sooner."""
    with means.control.database.writing() as connection:
        if point_id not in point_history.awaiting_promotion(connection, instance_id):
            return
        point = recovery_points.get(connection, instance_id, point_id)
        asked = point.facts["promotion"]
        said = {"promotion": None, "promoted": verdict.reason}
        recovery_points.note_facts(connection, point_id, said)
        if verdict.tag == point.tag:
            return
        recovery_points.set_tag(connection, point_id, verdict.tag)
        ends = max(point.expires_at, verdict.expires_at)
        if ends > point.expires_at:
            recovery_points.set_end(connection, point, ends)
        before = {"tag": point.tag, "expires": point.expires_at.format_iso()}
        after = {"tag": verdict.tag, "expires": ends.format_iso(), "why": verdict.reason}
        what = ("recoveryPoint/promote", point_id)
        now = means.control.clock.now()
        told = {"asked": asked}
        audit.append(connection, now, "service", what, told, before=before, after=after)
    log.info("recovery_point.promoted", instance=instance_id, point=point_id, tag=verdict.tag)
