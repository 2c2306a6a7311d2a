"""What holds the expiry of a point's elders, from the moment it is seen until it is over.

Over it is when a later point passes a drill (a failed drill: when the point itself does, too), or
when a person says so (control/points/expiry_holds.py).
"""

from collections.abc import Sequence

import sqlalchemy as sa
import structlog
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import expiry_holds, point_history
from strongroom.catalog.points.expiry_holds import DRILL, ExpiryHold
from strongroom.model.ids import InstanceId
from strongroom.model.points.recovery_point import RecoveryPoint

log = structlog.get_logger()


def hold(
    connection: sa.Connection, instance_id: str, point_id: str, what: tuple[str, str], at: Instant
) -> None:
    """The elders of a point stay, for `what` = (kind, why). Safe twice."""
    if expiry_holds.add(connection, instance_id, point_id, what, at):
        kind, why = what
        told = {"instance": instance_id, "kind": kind, "why": why}
        audit.append(connection, at, "service", ("expiry/hold", point_id), told)
        log.error("expiry.held", point=point_id, **told)


def release_proven(
    connection: sa.Connection, instance_id: InstanceId, point: RecoveryPoint, at: Instant
) -> None:
    """A point has passed its drill: what spoke against it and those before it is over."""
    point_history.accept_until(connection, instance_id, point.taken_at)
    point_history.ask_promotion(connection, point.id, "it has passed a drill")
    for held in expiry_holds.list_of_instance(connection, instance_id):
        itself = held.recovery_point_id == point.id
        if held.taken_at > point.taken_at or (itself and held.kind != DRILL):
            continue
        expiry_holds.release(connection, instance_id, held)
        told = {"kind": held.kind, "why": held.why, "drilled": point.id}
        audit.append(connection, at, "service", ("expiry/release", held.recovery_point_id), told)


def keeps(held: Sequence[ExpiryHold], points: Sequence[RecoveryPoint]) -> dict[str, str]:
    """Point -> why it stays whatever its age: those older than the newest that holds."""
    if not held:
        return {}
    newest = held[0]
    why = f"expiry is held: {newest.why}"
    return {point.id: why for point in points if point.taken_at < newest.taken_at}
