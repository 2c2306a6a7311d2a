"""When an instance's receipts were last compared with the catalogue, and whose turn it is."""

from collections.abc import Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import censuses, instances, jobs
from strongroom.model.ids import InstanceId
from strongroom.model.work.job import JobKind, JobStatus


def list_due(connection: sa.Connection, before: Instant) -> list[InstanceId]:
    """Instances without a census since `before`, or since a backup of theirs failed."""
    taken = censuses.c.taken_at
    failed = sa.exists().where(
        jobs.c.instance_id == instances.c.id,
        jobs.c.kind == JobKind.BACKUP.value,
        jobs.c.status.in_((JobStatus.FAILED.value, JobStatus.CANCELLED.value)),
        jobs.c.ended_at >= taken,
    )
    query = (
        sa.select(instances.c.id)
        .outerjoin(censuses, censuses.c.instance_id == instances.c.id)
        .where(sa.or_(taken.is_(None), taken < before, failed))
        .order_by(instances.c.id)
    )
    return [InstanceId(found) for found in connection.execute(query).scalars()]


def note(connection: sa.Connection, instance_id: str, at: Instant) -> None:
    """A census that began at this time has come to its end."""
    connection.execute(censuses.delete().where(censuses.c.instance_id == instance_id))
    connection.execute(censuses.insert().values(instance_id=instance_id, taken_at=at))


def taken_of(connection: sa.Connection, ids: Sequence[str]) -> list[Instant]:
    """When the last census of each of these instances began; nothing of one without any."""
    query = sa.select(censuses.c.taken_at).where(censuses.c.instance_id.in_(ids))
    return list(connection.execute(query).scalars())
