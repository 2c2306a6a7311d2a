"""What is strange about a new recovery point, by what was measured of those before it."""

import sqlalchemy as sa

from strongroom.catalog import point_history
from strongroom.model.anomaly import Sample, anomalies
from strongroom.model.job import Job
from strongroom.model.operation import BackupResult


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


def damaged_pages(result: BackupResult) -> dict[str, list[int]]:
    """File -> blocks that were damaged on the server's own disk, and are so in the point."""
    told = [warning.get("facts") or {} for warning in result.warnings]
    return {facts["path"]: facts["blocks"] for facts in told if facts.get("blocks")}
