"""Who is streamed: every instance whose settings ask for it has one open operation, no other has.

The operation of a stream never completes. One that has ended by a failure is put up again; one
that nobody wants is cancelled, and its agent lets the server's slot go.
"""

import msgspec
import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.wal import wal
from strongroom.catalog.wal.streaming import operation_of
from strongroom.catalog.work import agent_operations
from strongroom.control.points import backups
from strongroom.control.wal.wal_coverage import end_of
from strongroom.model.errors import Cancelled
from strongroom.model.ids import AgentId, InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.operational_tier import operational_days
from strongroom.model.protection.protection_state import ABLE, SUSPENDED
from strongroom.model.wal import SLOT_BYTES, StreamOrder
from strongroom.model.work.logical import LOGICAL
from strongroom.workflows.basis.means import Means

log = structlog.get_logger()


def settle_stream(means: Means, instance_id: InstanceId) -> None:
    """Begin it, leave it, or end it. Safe twice."""
    control = means.control
    with control.database.reading() as connection:
        found = protection.by_id(connection, instance_id)
        known = agent_operations.get(connection, operation_of(instance_id))
    wanted = bool(operational_days(found.properties, found.policy))
    wanted = wanted and found.state in {*ABLE, SUSPENDED}
    is_open = known is not None and known["status"] in agent_operations.OPEN
    if is_open and (not wanted or (known and known["agent_id"] != found.agent_id)):
        _end(means, instance_id)
    elif wanted and not is_open:
        _offer(means, found, again=known is not None)


def _end(means: Means, instance_id: str) -> None:
    error = Cancelled("the log of this server is streamed no more").to_dict()
    with means.control.database.writing() as connection:
        operation = operation_of(instance_id)
        agent_operations.end(connection, operation, "cancelled", error=error)
    log.info("wal.ended", instance=instance_id)


def _offer(means: Means, found: Protection, *, again: bool) -> None:
    control, instance_id = means.control, found.instance_id
    data = means.keyring.public(instance_id, "data")
    order = StreamOrder(
        server=found.agent_server,
        instance_id=instance_id,
        data_key_id=data.key_id,
        data_public_key=data.to_bytes(),
        slot_bytes=settings_of(found.properties).slot_bytes or SLOT_BYTES,
    )
    row = {
        "id": operation_of(instance_id),
        "job_id": None,
        "workflow_id": None,
        "agent_id": found.agent_id,
        "kind": "stream",
        "order": msgspec.to_builtins(order),
        "created_at": control.clock.now(),
    }
    with control.database.writing() as connection:
        if again:
            agent_operations.put_up_again(connection, row)
        else:
            agent_operations.offer(connection, row)
    control.offered.ring(AgentId(found.agent_id))
    log.info("wal.offered", instance=instance_id)


def fill_gaps(means: Means, instance_id: InstanceId) -> None:
    """Behind a gap nothing is restored before the next point: one is taken at once.

    So it is where a stream has begun and no point leads to it: there is none, or the stream began
    behind it.
    """
    with means.control.database.writing() as connection:
        found = protection.by_id(connection, instance_id)
        stream = wal.stream_of(connection, instance_id)
        if found.state not in ABLE or stream is None or not stream["timeline"]:
            return
        if not operational_days(found.properties, found.policy):
            return
        gaps = wal.gaps_of(connection, instance_id)
        gap = (gaps[-1]["found_at"], str(gaps[-1]["why"])) if gaps else None
        if _has_base(connection, found, stream, gap and gap[0]):
            return
        why = f"log of {stream['system_identifier']}"
        job = backups.fire_for_log(means.control, connection, found, why, gap)
    if job is not None:
        log.info("wal.base_queued", instance=instance_id, job=job)


def _has_base(
    connection: sa.Connection, found: Protection, stream: sa.RowMapping, after: Instant | None
) -> bool:
    """Whether a physical point began after the last gap; of no gap, whether one leads on."""
    points = [
        point
        for point in recovery_points.outline_of_instance(connection, found.instance_id)
        if point.kind != LOGICAL
    ]
    if after is not None:
        return any(point.taken_at > after for point in points)
    system = str(stream["system_identifier"])
    first = wal.first_kept(connection, found.instance_id, system)
    size = wal.segment_size_of(stream, system)
    return any(first is None or _reaches(point, system, size) >= first for point in points)


def _reaches(point: RecoveryPoint, system: str, segment_size: int) -> tuple[int, int]:
    """(timeline, where log must begin to lead on): where the segment begins that it ends in."""
    if str(point.facts["system_identifier"]) != system:
        return 0, 0
    timeline, stop = end_of(point)
    return timeline, stop - stop % segment_size
