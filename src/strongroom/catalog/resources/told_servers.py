"""Servers that agents look after and nobody has registered yet, as they told of them last."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.tables.portal_tables import told_servers as table
from strongroom.catalog.tables.tables import agents, servers


def note(connection: sa.Connection, agent_id: str, facts: dict[str, dict[str, Any]]) -> None:
    """`facts`: of all servers of an agent, by its own names; those registered are passed over."""
    known = sa.select(servers.c.agent_server).where(servers.c.agent_id == agent_id)
    registered = set(connection.execute(known).scalars())
    wanted = {name: told for name, told in facts.items() if name not in registered}
    theirs = table.c.agent_id == agent_id
    before = {
        row.name: row.facts
        for row in connection.execute(sa.select(table.c.name, table.c.facts).where(theirs))
    }
    if wanted == before:
        return
    connection.execute(table.delete().where(theirs))
    if wanted:
        rows = [{"agent_id": agent_id, "name": name, "facts": wanted[name]} for name in wanted]
        connection.execute(table.insert(), rows)


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """(agent_id, name, facts, agent, seen_at) of each, by name; seen_at: of its agent."""
    query = (
        sa.select(table, agents.c.name.label("agent"), agents.c.seen_at)
        .join(agents, agents.c.id == table.c.agent_id)
        .order_by(table.c.name, agents.c.enrolled_at)
    )
    return list(connection.execute(query).mappings())


def take(connection: sa.Connection, agent_id: str, name: str) -> sa.RowMapping | None:
    """(facts, seen_at) of one that is registered from now on; None when it was not told of."""
    this = sa.and_(table.c.agent_id == agent_id, table.c.name == name)
    query = sa.select(table.c.facts, agents.c.seen_at).join(agents, agents.c.id == agent_id)
    found = connection.execute(query.where(this)).mappings().first()
    connection.execute(table.delete().where(this))
    return found
