"""Logical points go into running servers, and nothing else does: examined before a job begins."""

import sqlalchemy as sa

from strongroom.catalog.protection.protection import Protection
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.resources import servers
from strongroom.model.arm import read_server_id, server_id_of
from strongroom.model.errors import Precondition
from strongroom.model.identities.access import Caller
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.postgres import major_of
from strongroom.model.restore.restore_request import RestoreRequest
from strongroom.model.work.extract import ExtractRequest
from strongroom.model.work.logical import LOGICAL, LoadRequest


def settle(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[Protection, RecoveryPoint],
    asked: RestoreRequest,
) -> None:
    """The request fits the kind of its point; a load names its agent from here on.

    One whole database with a `part.targetServer` is a load too, when the point is logical.
    """
    found, point = what
    if point.kind == LOGICAL and asked.load is None:
        part = _need_part(asked)
        if part.target_server and not part.table:
            names = {part.database: part.rename or part.database}
            asked.load = LoadRequest(target_server=part.target_server, databases=names)
            asked.part = None
    if asked.load is None:
        return
    if point.kind != LOGICAL:
        raise Precondition(
            f"recovery point {point.id} is {point.kind}: it cannot be loaded into a server",
            hint="choose a point of kind Logical; or restore it as a server, into a new directory "
            "(--to-dir; in the API datasourceInfo.resourceUri file:///directory?start=true), or "
            "in place of its own (--in-place; restoreTargetInfo.strongroom.inPlace)",
        )
    _find_target(control, connection, caller, (found, point), asked.load)


def _need_part(asked: RestoreRequest) -> ExtractRequest:
    if asked.part is None:
        raise Precondition(
            f"recovery point {asked.recovery_point_id} is a logical one: it holds dumps, and no "
            "data directory",
            hint="load it into a running server (strongroom load NAME --to-server SERVER), or "
            "leave it as files: --to-files",
        )
    return asked.part


def _find_target(
    control: Control,
    connection: sa.Connection,
    caller: Caller,
    what: tuple[Protection, RecoveryPoint],
    load: LoadRequest,
) -> None:
    """Who loads a server must be allowed to change it; it is of the same major or newer."""
    found, point = what
    server = need_writable(control, connection, caller, found, load.target_server)
    load.target_server = str(server["name"])
    facts = servers.facts_of(server)
    source, target = point.facts["version_number"], facts.version_number if facts else 0
    if target and major_of(target) < major_of(source):
        raise Precondition(
            f"{load.target_server} is PostgreSQL {major_of(target)}, the point is of "
            f"{major_of(source)}",
            hint="load it into a server of the same major version or a newer one",
        )
    load.agent_id = str(server["agent_id"])
    load.agent_server = str(server["agent_server"])


def need_writable(
    control: Control, connection: sa.Connection, caller: Caller, found: Protection, server: str
) -> sa.RowMapping:
    """A server by its name, in the group of the one that is protected, or by its whole id.

    Raises Forbidden when the caller may not change it, NotFound, Invalid.
    """
    subscription = control.installation.subscription_id
    group = found.server_resource_group
    if server.startswith("/"):
        named = read_server_id(server, subscription)
        group, server = named.resource_group, named.name
    scope = server_id_of(subscription, group, server)
    require(control, connection, caller, servers.WRITE, scope)
    return servers.need_server(connection, group, server)


def sealed_signature(control: Control, job_id: str, asked: RestoreRequest) -> bytes | None:
    """What opens the container that a job fills, as the job's row keeps it until its end."""
    if asked.signature is None:
        return None
    return control.seal_signature(job_id, asked.signature.query)
