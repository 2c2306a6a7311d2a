"""What agents have of the jobs under way: taken, or only offered."""

from collections.abc import Collection

import sqlalchemy as sa

from strongroom.catalog.tables.tables import agent_operations as table
from strongroom.catalog.tables.tables import agents
from strongroom.catalog.work.agent_operations import OPEN

_OPEN = table.c.status.in_(OPEN)


def open_of(connection: sa.Connection, job_ids: Collection[str]) -> list[sa.RowMapping]:
    """(job_id, agent_id, status, lease_until, limit, agent, seen_at) of what is open; newest last.

    Of these jobs, and of whatever else their agents hold. seen_at: when the agent called last.
    limit: bytes a second that the instance's settings allow; None or 0: as many as there are.
    """
    theirs = sa.select(table.c.agent_id).where(table.c.job_id.in_(job_ids), _OPEN)
    held = sa.and_(table.c.agent_id.in_(theirs), table.c.status == "leased")
    query = (
        sa.select(
            *(table.c[name] for name in ("job_id", "agent_id", "status", "lease_until")),
            table.c.order["bandwidth"].as_integer().label("limit"),
            agents.c.name.label("agent"),
            agents.c.seen_at,
        )
        .join(agents, table.c.agent_id == agents.c.id)
        .where(sa.or_(sa.and_(table.c.job_id.in_(job_ids), _OPEN), held))
        .order_by(table.c.created_at)
    )
    return list(connection.execute(query).mappings())
