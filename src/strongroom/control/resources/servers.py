"""PostgreSQL servers, as agents know them."""

from typing import Any

import msgspec
import sqlalchemy as sa

from strongroom.catalog.oversight import audit
from strongroom.catalog.resources import servers as catalog
from strongroom.catalog.resources import told_servers
from strongroom.catalog.work import agent_operations, agents
from strongroom.control.basis.access import may, require
from strongroom.control.basis.control import Control
from strongroom.control.resources.subscriptions import need_group
from strongroom.model import arm
from strongroom.model.errors import Conflict, NotFound, Precondition, from_dict
from strongroom.model.first_few import first_few
from strongroom.model.identities.access import Caller
from strongroom.model.protection.backup_type import FULL, allows
from strongroom.model.work.operation import ServerFacts

READ = "Microsoft.DBforPostgreSQL/flexibleServers/read"
WRITE = "Microsoft.DBforPostgreSQL/flexibleServers/write"
CHECK = "Microsoft.DBforPostgreSQL/flexibleServers/ltrPreBackup/action"
LATELY_SECONDS = 300.0  # an agent calls every half minute, unless it is busy with its leases
_MOST_TOLD = 20  # agents that an error names
NOT_READY = "ServerNotReadyForLongTermBackup"


def put_server(
    control: Control, caller: Caller, group: str, name: str, body: dict[str, Any]
) -> tuple[sa.RowMapping, bool]:
    """Register a server that an agent looks after, or change who does. Returns whether it is new.

    `properties.strongroom` names the agent (`agent`, by name or id; may be left out when only one
    is enrolled) and the agent's own name for the server (`agentServer`, else the resource's name).
    """
    arm.check_name("server", name)
    wish = arm.pick_object(arm.pick_object(body, "properties"), "strongroom")
    tags = arm.read_tags(body)
    location = arm.read_location(body, control.installation.location)
    with control.database.writing() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, WRITE, scope)
        need_group(connection, group)
        found = catalog.find(connection, group, name)
        now = control.clock.now()
        if found is not None:
            _change(connection, found, wish, tags)
        else:
            agent_id = _need_agent(connection, arm.pick_text(wish, "agent"))
            local = arm.pick_text(wish, "agentServer") or name
            _check_free(connection, agent_id, local, name)
            heard = told_servers.take(connection, agent_id, local)
            row = {
                "id": control.chance.bytes(16).hex(),
                "resource_group_key": group.lower(),
                "name": name,
                "name_key": name.lower(),
                "location": location,
                "agent_id": agent_id,
                "agent_server": local,
                "facts": heard["facts"] if heard else {},
                "seen_at": heard["seen_at"] if heard else None,
                "tags": tags or {},
                "created_at": now,
            }
            catalog.add(connection, row)
        what = "server/create" if found is None else "server/change"
        told = {"wish": dict(wish)}
        was = {} if found is None else {name: found[name] for name in ("agent_id", "agent_server")}
        audit.append(connection, now, caller, (what, scope), told, before=was)
        return need_server(connection, group, name), found is None


def _change(
    connection: sa.Connection,
    found: sa.RowMapping,
    wish: Any,  # noqa: ANN401 - a JSON object
    tags: dict[str, str] | None,
) -> None:
    agent, local = arm.pick_text(wish, "agent"), arm.pick_text(wish, "agentServer")
    agent_id = _need_agent(connection, agent) if agent else found["agent_id"]
    local = local or found["agent_server"]
    values: dict[str, Any] = {"tags": found["tags"] if tags is None else tags}
    if (agent_id, local) != (found["agent_id"], found["agent_server"]):
        _check_free(connection, agent_id, local, found["name"])
        values |= {"agent_id": agent_id, "agent_server": local, "facts": {}, "seen_at": None}
    catalog.change(connection, found["id"], **values)


def _need_agent(connection: sa.Connection, name: str) -> str:
    """The one agent of this name or id, or the only one. Nobody is picked among several."""
    found = agents.list_named(connection, name) if name else agents.list_all(connection)
    if not found:
        raise Precondition(
            f"no agent {name[:63]!r} is enrolled" if name else "no agent is enrolled",
            hint="start an agent on the database host: strongroom agent run",
        )
    if len(found) > 1:
        told = first_few([f"{agent['name']} ({agent['id']})" for agent in found], _MOST_TOLD)
        which = f"agents named {name[:63]!r}" if name else "agents"
        raise arm.invalid(
            f"{len(found)} {which} are enrolled: {told}",
            "name the one that looks after this server, by its id, in properties.strongroom.agent",
        )
    return str(found[0]["id"])


def _check_free(connection: sa.Connection, agent_id: str, local: str, name: str) -> None:
    other = catalog.of_agent(connection, agent_id, local)
    if other is not None and other["name_key"] != name.lower():
        raise Conflict(
            f"the agent's server {local[:63]!r} is registered already, as {other['name']}",
            hint=f"use {other['name']}, or another agentServer",
        )


def get_server(control: Control, caller: Caller, group: str, name: str) -> sa.RowMapping:
    """One server, with what its agent last said."""
    with control.database.reading() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, READ, scope)
        return need_server(connection, group, name)


def list_servers(control: Control, caller: Caller, group: str | None) -> list[sa.RowMapping]:
    """The servers of a resource group, or of the subscription, that the caller may see."""
    subscription = control.installation.subscription_id
    with control.database.reading() as connection:
        if group is not None:
            require(control, connection, caller, READ, arm.group_id_of(subscription, group))
            need_group(connection, group)
        return [
            row
            for row in catalog.list_of_group(connection, group)
            if may(
                connection,
                caller,
                READ,
                arm.server_id_of(subscription, row["resource_group"], row["name"]),
            )
        ]


def check_prerequisites(control: Control, caller: Caller, group: str, name: str) -> int:
    """How many containers a backup needs (1); raises with everything that is missing."""
    with control.database.reading() as connection:
        scope = arm.server_id_of(control.installation.subscription_id, group, name)
        require(control, connection, caller, CHECK, scope)
        check_ready(control, connection, need_server(connection, group, name))
    return 1


def check_ready(
    control: Control, connection: sa.Connection, server: sa.RowMapping, backup_type: str = FULL
) -> None:
    """Precondition that names everything the agent has found missing for such a backup."""
    facts = facts_of(server)
    if facts is None or not _is_heard(control, connection, server):
        heard = server["seen_at"]
        since = "yet" if heard is None else f"since {heard.round('second').format_iso()}"
        raise Precondition(
            f"the agent has not reported on server {server['name']} {since}",
            hint="wait a moment; if it stays so, see that the agent runs: strongroom status",
            code=NOT_READY,
        )
    if allows(facts, backup_type):
        return
    problems = [from_dict(told) for told in facts.problems]
    hints = [problem.hint for problem in problems if problem.hint]
    raise Precondition(
        f"server {server['name']} is not ready: " + "; ".join(p.message for p in problems),
        hint=hints[0] if hints else f"see: strongroom server check {server['name']}",
        code=NOT_READY,
        facts={"actions": hints},
    )


def _is_heard(control: Control, connection: sa.Connection, server: sa.RowMapping) -> bool:
    now, heard = control.clock.now(), server["seen_at"]
    if heard is not None and (now - heard).total("seconds") <= LATELY_SECONDS:
        return True
    return agent_operations.is_held(connection, server["agent_id"], now)


def facts_of(server: sa.RowMapping) -> ServerFacts | None:
    """What the agent last said of it."""
    told = server["facts"]
    return msgspec.convert(told, ServerFacts) if told else None


def need_server(connection: sa.Connection, group: str, name: str) -> sa.RowMapping:
    """The server, or NotFound."""
    found = catalog.find(connection, group, name)
    if found is None:
        raise NotFound(
            f"there is no PostgreSQL server {name[:63]!r} in resource group {group[:90]!r}",
            hint="register it: strongroom server add NAME CONNINFO",
            code="ResourceNotFound",
        )
    return found
