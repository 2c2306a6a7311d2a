"""A new server out of a moment: a restore that ends with one more server to look after.

Its row is there from the start, so that its name is taken; it goes again when the restore fails.
"""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances, protection, removal
from strongroom.catalog.resources import servers as catalog
from strongroom.control.basis import guarded, long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.basis.guarded import Ask
from strongroom.control.resources.servers import WRITE, need_server
from strongroom.control.resources.subscriptions import need_group
from strongroom.control.restore import restores
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import Conflict, Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.protection.protection_state import SOFT_DELETED
from strongroom.model.resources import guard
from strongroom.model.restore.new_server import NewServer
from strongroom.model.work.job import Job

KIND = "createServer"


def make_server(
    control: Control,
    caller: Caller,
    server: tuple[str, str],
    body: dict[str, Any],
    wanted: NewServer,
    request_key: str,
) -> OperationId:
    """Begin it; the operation ends with the restore. `server` = (group, name) of the new one.

    Takes what a restore takes, and WRITE there.

    Raises Invalid, NotFound, Precondition, Conflict for a name in use, Forbidden.
    """
    group, name = server
    arm.check_name("server", name)
    subscription = control.installation.subscription_id
    with guarded.writing(control) as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        scope = arm.server_id_of(subscription, group, name)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, group)
        source = need_server(connection, wanted.source.resource_group, wanted.source.name)
        taken = catalog.of_agent(connection, source["agent_id"], name)
        if taken is not None or catalog.find(connection, group, name) is not None:
            raise Conflict(f"there is a server {name} already", hint="choose another name")
        vault, instance = _protection_of(connection, source)
        home = arm.instance_id_of(subscription, vault, instance)
        require(control, connection, caller, restores.RESTORE, home)
        request = wanted.to_request(name, str(source["facts"].get("dataDirectory", "")))
        found, point, asked = restores.examine(
            control, connection, caller, (vault, instance), request
        )
        ask = Ask(guard.RESTORE, home, asked.to_order(point))
        guarded.require_approval(control, connection, caller, found.vault_id, ask)
        operation = long_running.begin_operation(
            control, connection, caller, (KIND, scope), request_key
        )
        row = _row(control, group, name, body, source)
        catalog.add(connection, row)
        made = {"server_id": row["id"], "operation": operation}
        made |= {"name": name, "like": source["agent_server"]}
        order = {**asked.to_order(point), "second": False, "new_server": made}
        restores.enqueue(control, connection, caller, found, (point, asked, order))
        audit.append(connection, control.clock.now(), caller, ("server/create", scope), made)
        return operation


def _protection_of(connection: sa.Connection, source: sa.RowMapping) -> tuple[VaultRef, str]:
    row = instances.of_server(connection, source["id"])
    if row is None or row["state"] == SOFT_DELETED:
        raise Precondition(
            f"server {source['name']} is protected by no backup instance",
            hint="protect it, with an operational tier: strongroom server set NAME "
            "--keep-every-second 7d",
        )
    found = protection.by_id(connection, row["id"])
    vault = VaultRef(resource_group=found.resource_group, name=found.vault_name)
    return vault, found.instance_name


def _row(
    control: Control, group: str, name: str, body: dict[str, Any], source: sa.RowMapping
) -> dict[str, Any]:
    """It is looked after by the agent of its source, on whose host it will run."""
    return {
        "id": control.chance.bytes(16).hex(),
        "resource_group_key": group.lower(),
        "name": name,
        "name_key": name.lower(),
        "location": arm.read_location(body, control.installation.location),
        "agent_id": source["agent_id"],
        "agent_server": name,
        "facts": {"name": name, "ready": False, "provisioning": True},
        "tags": arm.read_tags(body) or {},
        "created_at": control.clock.now(),
    }


def settle(
    connection: sa.Connection, job: Job, now: Instant, error: dict[str, Any] | None
) -> None:
    """The restore has ended: so does the operation that began it. Safe twice; else nothing."""
    made = job.order.get("new_server")
    if not made:
        return
    if error is not None and catalog.by_id(connection, made["server_id"]) is not None:
        removal.remove_server(connection, made["server_id"])
    result: dict[str, Any] | None = {} if error is None else None
    long_running.end_operation(connection, made["operation"], now, result=result, error=error)
