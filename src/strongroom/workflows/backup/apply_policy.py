"""Points that exist get the ends that their policy names now: locks first, then rows."""

from typing import Any

from strongroom.catalog.oversight import audit
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.resources import policies
from strongroom.control.basis import long_running
from strongroom.control.protection.reapplying import changes_of
from strongroom.durable.engine import Story
from strongroom.model.errors import VaultError
from strongroom.model.ids import InstanceId
from strongroom.workflows.basis.locking import extend_point
from strongroom.workflows.basis.means import Means


def apply_policy(means: Means, story: Story, policy_id: str, operation_id: str) -> None:
    """The durable story behind applying a policy to the points that exist. Safe twice."""
    try:
        told = {"longer": 0, "shorter": 0, "unchanged": 0}
        for instance_id in story.step("find", _users, means, policy_id):
            for name, count in story.step("apply", _apply, means, instance_id).items():
                told[name] += count
        story.step("finish", _finish, means, operation_id, told)
    except VaultError as error:
        story.step("fail", _fail, means, operation_id, error.to_dict())


def _users(means: Means, policy_id: str) -> list[str]:
    with means.control.database.reading() as connection:
        return [str(row["id"]) for row in policies.users(connection, policy_id)]


def _apply(means: Means, instance_id: InstanceId) -> dict[str, int]:
    """All points of one instance, by its policy of this moment."""
    with means.control.database.reading() as connection:
        found = protection.by_id(connection, instance_id)
        changes = changes_of(connection, instance_id, found.policy)
    for change in changes:
        if change.longer:
            extend_point(means, instance_id, change.point.id, change.ends)
    with means.control.database.writing() as connection:
        # Looked at again: a hold or a lock may have come in between.
        again = changes_of(connection, instance_id, found.policy)
        locked = {(change.point.id, change.ends) for change in changes if change.longer}
        now = means.control.clock.now()
        for change in again:
            if change.shorter or (change.point.id, change.ends) in locked:
                recovery_points.set_end(connection, change.point, change.ends)
                before = {"expires": change.point.expires_at.format_iso()}
                after = {"expires": change.ends.format_iso(), "why": change.why}
                what = ("recoveryPoint/retain", change.point.id)
                audit.append(connection, now, "service", what, before=before, after=after)
    return {
        "longer": sum(change.longer for change in again),
        "shorter": sum(change.shorter for change in again),
        "unchanged": sum(not (change.longer or change.shorter) for change in again),
    }


def _finish(means: Means, operation_id: str, told: dict[str, Any]) -> None:
    with means.control.database.writing() as connection:
        now = means.control.clock.now()
        long_running.end_operation(connection, operation_id, now, result=told)


def _fail(means: Means, operation_id: str, error: dict[str, object]) -> None:
    with means.control.database.writing() as connection:
        now = means.control.clock.now()
        long_running.end_operation(connection, operation_id, now, error=error)
