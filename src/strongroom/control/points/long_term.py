"""Long-term backups: a server as it is now, dumped into a container of the caller's.

Whoever may `startLtrBackup` at the server may have one, as in Azure, where that is the identity of
a vault. Its job is the server's own; where a vault protects the server, it is seen there too.
"""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import instances, protection
from strongroom.catalog.protection.protection import Protection
from strongroom.catalog.work import jobs
from strongroom.control.basis import long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.resources import servers
from strongroom.model import arm
from strongroom.model.errors import Conflict, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import JobId, OperationId, uuid4
from strongroom.model.protection.protection_state import SOFT_DELETED
from strongroom.model.restore.files_place import FilesPlace, Signature, check_ours, read_place
from strongroom.model.work.job import Job, JobKind
from strongroom.model.work.long_term import read_backup_name

START = f"{servers.READ.removesuffix('/read')}/startLtrBackup/action"
READ = f"{servers.READ.removesuffix('/read')}/ltrBackupOperations/read"


def start_backup(
    control: Control, caller: Caller, server: tuple[str, str], body: dict[str, Any], key: str
) -> OperationId:
    """Begin one; the operation ends with it. `server` = (group, name).

    Raises Invalid, Precondition (ServerNotReadyForLongTermBackup), Conflict for a name in use.
    """
    with control.database.writing() as connection:
        known = long_running.find_by_request(connection, key)
        if known is not None:
            return known
        scope = arm.server_id_of(control.installation.subscription_id, *server)
        require(control, connection, caller, START, scope)
        settings = arm.pick_object(body, "backupSettings")
        name = read_backup_name(arm.pick_text(settings, "backupName"))
        place, signature = _read_target(control, body)
        row = servers.need_server(connection, *server)
        servers.check_ready(control, connection, row)
        known_names = {
            job.order["backup_name"].lower() for job in jobs.list_of_server(connection, row["id"])
        }
        if name.lower() in known_names:
            raise Conflict(f"server {row['name']} has a backup {name} already")
        what = ("startLtrBackup", scope)
        operation = long_running.begin_operation(control, connection, caller, what, key)
        order = {"backup_name": name, "target_url": place.url, "operation": operation}
        _enqueue(control, connection, caller, row["id"], (order, signature))
        return operation


def _read_target(control: Control, body: dict[str, Any]) -> tuple[FilesPlace, Signature]:
    found = arm.pick(arm.pick_object(body, "targetDetails"), "sasUriList")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        raise arm.invalid(
            "targetDetails.sasUriList is not a list of one URL",
            "send one container's URL with its SAS: ltrPreBackup says how many are needed",
        )
    place, signature = read_place(found[0], "", control.clock.now())
    check_ours(place, signature, control.own_storage.url)
    if signature is None:
        raise arm.invalid("sasUriList names no container", "send its URL with a SAS")
    return place, signature


def _protection_of(connection: sa.Connection, server_id: str) -> Protection | None:
    row = instances.of_server(connection, server_id)
    if row is None or row["state"] == SOFT_DELETED:
        return None
    return protection.by_id(connection, row["id"])


def _enqueue(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    server_id: str,
    what: tuple[dict[str, Any], Signature],
) -> None:
    order, signature = what
    job_id, now = JobId(str(uuid4(control.chance))), control.clock.now()
    jobs.add(
        connection,
        job_id,
        _protection_of(connection, server_id),
        JobKind.LONG_TERM,
        now,
        rule_name="",
        tag="",
        user_triggered=True,
        requested_by=caller.principal_id,
        order=order,
        server_id=server_id,
        sealed_signature=control.seal_signature(job_id, signature.query),
    )
    told = {"job": job_id, "target": order["target_url"]}
    where = ("longTermBackup/trigger", order["backup_name"])
    audit.append(connection, now, caller, where, told)
    control.jobs.enqueue(connection, "long-term-backup", f"job:{job_id}", job_id)


def list_backups(control: Control, caller: Caller, group: str, name: str) -> list[Job]:
    """Those of a server, newest first."""
    with control.database.reading() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, READ, scope)
        return jobs.list_of_server(connection, servers.need_server(connection, group, name)["id"])


def get_backup(control: Control, caller: Caller, server: tuple[str, str], name: str) -> Job:
    """One of a server, by its name."""
    for job in list_backups(control, caller, *server):
        if job.order["backup_name"].lower() == name.lower():
            return job
    raise NotFound(f"server {server[1]} has no long-term backup {name[:64]}")


def of_operation(control: Control, operation_id: str, resource_id: str) -> Job:
    """What an operation that somebody may see has begun."""
    server = arm.read_server_id(resource_id, control.installation.subscription_id)
    with control.database.reading() as connection:
        row = servers.need_server(connection, server.resource_group, server.name)
        for job in jobs.list_of_server(connection, row["id"]):
            if job.order["operation"] == operation_id:
                return job
    raise NotFound(f"there is no long-term backup of operation {operation_id[:64]}")
