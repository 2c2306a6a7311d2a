"""Make a backup instance ready: its container, its keys, its schedule."""

import contextlib

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.control.basis import long_running
from strongroom.control.protection import scheduling
from strongroom.datastore.maps.manifest import FORMAT_LINE, FORMAT_NAME
from strongroom.durable.engine import Story
from strongroom.model.errors import ObjectExists, VaultError
from strongroom.model.ids import InstanceId
from strongroom.model.protection.policy import parse_policy
from strongroom.workflows.basis.keyring import PURPOSES
from strongroom.workflows.basis.locking import make_immutable
from strongroom.workflows.basis.means import Means
from strongroom.workflows.keys import escrow


def configure_protection(means: Means, story: Story, instance_id: str, operation_id: str) -> None:
    """The durable story behind PUT of a backup instance."""
    try:
        story.step("make the container", _make_container, means, instance_id)
        story.step("make the keys", _make_keys, means, instance_id)
        story.step("finish", _finish, means, instance_id, operation_id)
    except VaultError as error:
        story.step("fail", _fail, means, instance_id, operation_id, error.to_dict())
    means.control.ended.ring(operation_id)


def _make_container(means: Means, instance_id: str) -> None:
    means.storage.account_view(instance_id).ensure()
    make_immutable(means, InstanceId(instance_id))
    with contextlib.suppress(ObjectExists):
        means.storage.container(instance_id).create(FORMAT_NAME, FORMAT_LINE)


def _make_keys(means: Means, instance_id: str) -> None:
    control = means.control
    for purpose in PURPOSES:
        pair = means.keyring.make_pair(instance_id, purpose, control.clock, control.chance)
        escrow.put_and_note(means, instance_id, purpose, pair)


def _finish(means: Means, instance_id: str, operation_id: str) -> None:
    control = means.control
    with control.database.writing() as connection:
        found = protection.by_id(connection, instance_id)
        protection.set_state(connection, instance_id, "ProtectionConfigured")
        scheduling.plan_instance(control, connection, instance_id, parse_policy(found.policy))
        what, told = ("instance/protect", instance_id), {"state": "ProtectionConfigured"}
        audit.append(connection, control.clock.now(), "service", what, after=told)
        long_running.end_operation(connection, operation_id, control.clock.now(), result={})


def _fail(means: Means, instance_id: str, operation_id: str, error: dict[str, object]) -> None:
    control = means.control
    with control.database.writing() as connection:
        protection.set_state(connection, instance_id, "ConfiguringProtectionFailed", error)
        what, told = ("instance/protect", instance_id), {"state": "ConfiguringProtectionFailed"}
        audit.append(connection, control.clock.now(), "service", what, error, after=told)
        long_running.end_operation(connection, operation_id, control.clock.now(), error=error)
