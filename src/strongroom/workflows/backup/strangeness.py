"""What is strange about a new recovery point, by what was measured of those before it."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points import expiry_holds, point_history, recovery_points
from strongroom.model.oversight.anomaly import Sample, anomalies
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.work.job import Job
from strongroom.model.work.operation import BackupResult
from strongroom.workflows.basis import held_expiry


def judge(connection: sa.Connection, job: Job, result: BackupResult) -> list[str]:
    """A sentence for each thing that is. The same when asked again: later points do not count."""
    history = point_history.trusted_samples(connection, job.instance_id, job.started_at)
    since = job.started_at.subtract(hours=1)
    within = point_history.count_within(connection, job.instance_id, since, job.started_at)
    new = Sample(
        kind=result.kind,
        raw_bytes=result.raw_bytes,
        read_bytes=result.read_bytes,
        stored_bytes=result.stored_bytes,
        system_identifier=result.system_identifier,
        damaged_pages=damaged_pages(result),
    )
    return anomalies(new, history, within)


def add_point(
    connection: sa.Connection, point: RecoveryPoint, strange: list[str], at: Instant
) -> None:
    """Record a point; one that looks wrong says so, and holds the expiry of its elders."""
    if strange:
        point.facts["anomalies"] = strange
    recovery_points.add(connection, point)
    if strange:
        why = f"recovery point {point.id} looks wrong: {strange[0]}"
        held_expiry.hold(connection, point.instance_id, point.id, (expiry_holds.ANOMALY, why), at)


def damaged_pages(result: BackupResult) -> dict[str, list[int]]:
    """File -> blocks that were damaged on the server's own disk, and are so in the point."""
    told = [warning.get("facts") or {} for warning in result.warnings]
    return {facts["path"]: facts["blocks"] for facts in told if facts.get("blocks")}
