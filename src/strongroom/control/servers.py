"""PostgreSQL servers, as agents know them."""

from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog import audit, resources
from strongroom.catalog.tables import servers as table
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.control.subscriptions import need_group
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.errors import NotFound, Precondition, from_dict
from strongroom.model.operation import ServerFacts

READ = "Microsoft.DBforPostgreSQL/flexibleServers/read"
WRITE = "Microsoft.DBforPostgreSQL/flexibleServers/write"
CHECK = "Microsoft.DBforPostgreSQL/flexibleServers/ltrPreBackup/action"


def put_server(
    control: Control, caller: Caller, group: str, name: str, body: dict[str, Any]
) -> sa.RowMapping:
    """Register a server that an agent looks after.

    `properties.strongroom` names the agent (`agent`, by name or id; may be left out when there is
    one) and the agent's own name for the server (`agentServer`, else the resource's name).
    """
    arm.check_name("server", name)
    wish = (body.get("properties") or {}).get("strongroom") or {}
    with control.database.writing() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, group)
        agent = resources.agent_by_name(connection, str(wish.get("agent") or ""))
        if agent is None:
            raise Precondition(
                "no agent is enrolled by that name",
                hint="start an agent on the database host: strongroom agent run",
            )
        local = str(wish.get("agentServer") or name)
        if resources.server(connection, group, name) is None:
            now = control.clock.now()
            row = {
                "id": control.chance.bytes(16).hex(),
                "resource_group_key": group.lower(),
                "name": name,
                "name_key": name.lower(),
                "location": str(body.get("location") or control.installation.location),
                "agent_id": agent["id"],
                "agent_server": local,
                "facts": {},
                "tags": body.get("tags") or {},
                "created_at": now,
            }
            resources.add(connection, table, row)
            audit.append(connection, now, caller.principal_id, ("server/create", scope))
        return need_server(connection, group, name)


def get_server(control: Control, caller: Caller, group: str, name: str) -> sa.RowMapping:
    """One server, with what its agent last said."""
    with control.database.reading() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, READ, scope)
        return need_server(connection, group, name)


def list_servers(control: Control, caller: Caller, group: str | None) -> list[sa.RowMapping]:
    """The servers of a resource group, or of the subscription."""
    with control.database.reading() as connection:
        subscription = control.installation.subscription_id
        scope = (
            arm.subscription_id_of(subscription)
            if group is None
            else arm.group_id_of(subscription, group)
        )
        require(control, connection, caller, READ, scope)
        return resources.servers_of(connection, group)


def check_prerequisites(control: Control, caller: Caller, group: str, name: str) -> int:
    """How many containers a backup needs (1); raises with everything that is missing."""
    with control.database.reading() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, CHECK, scope)
        check_ready(need_server(connection, group, name))
    return 1


def check_ready(server: sa.RowMapping) -> None:
    """Precondition that names everything the agent has found missing."""
    facts = facts_of(server)
    if facts is None:
        raise Precondition(
            f"the agent has not reported on server {server['name']} yet",
            hint="wait a moment; if it stays so, see that the agent runs: strongroom status",
            code="ServerNotReadyForLongTermBackup",
        )
    if facts.ready:
        return
    problems = [from_dict(told) for told in facts.problems]
    hints = [problem.hint for problem in problems if problem.hint]
    raise Precondition(
        f"server {server['name']} is not ready: " + "; ".join(p.message for p in problems),
        hint=hints[0] if hints else f"see: strongroom server check {server['name']}",
        code="ServerNotReadyForLongTermBackup",
        facts={"actions": hints},
    )


def facts_of(server: sa.RowMapping) -> ServerFacts | None:
    """What the agent last said of it."""
    told = server["facts"]
    return msgspec.convert(told, ServerFacts) if told else None


def need_server(connection: sa.Connection, group: str, name: str) -> sa.RowMapping:
    """The server, or NotFound."""
    found = resources.server(connection, group, name)
    if found is None:
        raise NotFound(
            f"there is no PostgreSQL server {name[:63]!r} in resource group {group[:90]!r}",
            hint="register it: strongroom server add NAME CONNINFO",
            code="ResourceNotFound",
        )
    return found
