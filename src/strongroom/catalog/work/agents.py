"""Agents, the tokens that enrol them, and the servers they look after."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import agent_operations, agents, enrol_tokens, servers


def add_enrol_token(connection: sa.Connection, token_hash: str, expires_at: Instant) -> None:
    """A one-time token; only its hash is kept."""
    connection.execute(enrol_tokens.insert().values(token_hash=token_hash, expires_at=expires_at))


def use_enrol_token(
    connection: sa.Connection, token_hash: str, agent_id: str, at: Instant
) -> bool:
    """Whether the token is this agent's now: it was fresh, or this agent has used it before."""
    fresh = sa.and_(enrol_tokens.c.used_at.is_(None), enrol_tokens.c.expires_at > at)
    used = connection.execute(
        enrol_tokens.update()
        .where(
            enrol_tokens.c.token_hash == token_hash,
            sa.or_(fresh, enrol_tokens.c.agent_id == agent_id),
        )
        .values(used_at=at, agent_id=agent_id)
    )
    return used.rowcount == 1


def forget_enrol_tokens(connection: sa.Connection, before: Instant) -> int:
    """Drop the tokens that were used or have expired before then; how many there were."""
    over = sa.func.coalesce(enrol_tokens.c.used_at, enrol_tokens.c.expires_at)
    return connection.execute(enrol_tokens.delete().where(over < before)).rowcount


def add(connection: sa.Connection, agent: dict[str, object]) -> None:
    """A newly enrolled agent: id, name, token_hash, version, enrolled_at, seen_at."""
    connection.execute(agents.insert().values(**agent))


def find_by_token(connection: sa.Connection, token_hash: str) -> sa.RowMapping | None:
    """The agent whose own token it is."""
    query = sa.select(agents).where(agents.c.token_hash == token_hash)
    return connection.execute(query).mappings().first()


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """Every agent, in the order of enrolment."""
    query = sa.select(agents).order_by(agents.c.enrolled_at)
    return list(connection.execute(query).mappings())


def seen(
    connection: sa.Connection, agent_id: str, at: Instant, facts: dict[str, dict[str, object]]
) -> None:
    """The agent called: `facts` are its servers by the agent's own name.

    Where its files lie stays known of a server that is stopped: so it can be restored in place.
    """
    connection.execute(agents.update().where(agents.c.id == agent_id).values(seen_at=at))
    for name, told in facts.items():
        this = sa.and_(servers.c.agent_id == agent_id, servers.c.agent_server == name)
        place = told.get("dataDirectory")
        if not place:
            known = connection.execute(sa.select(servers.c.facts).where(this)).scalar() or {}
            place = known.get("dataDirectory", "")
        kept = {**told, "dataDirectory": place} if place else told
        connection.execute(servers.update().where(this).values(facts=kept, seen_at=at))


def heard_of(connection: sa.Connection, agent_id: str) -> Instant:
    """When the agent last called, or until when its last word on any operation counts.

    One that is at work on as many as it takes does not ask for more.
    """
    last = sa.select(sa.func.max(agent_operations.c.lease_until)).where(
        agent_operations.c.agent_id == agent_id
    )
    seen_at = sa.select(agents.c.seen_at).where(agents.c.id == agent_id)
    called: Instant = connection.execute(seen_at).scalar_one()
    return max(called, connection.execute(last).scalar() or called)


def begin_session(connection: sa.Connection, agent_id: str, session: str) -> None:
    """From now on work is for this process of the agent; safe twice."""
    connection.execute(agents.update().where(agents.c.id == agent_id).values(session=session))


def is_session(connection: sa.Connection, agent_id: str, session: str) -> bool:
    """Whether no later process of the agent has called."""
    query = sa.select(agents.c.session).where(agents.c.id == agent_id)
    return connection.execute(query).scalar() == session


def list_named(connection: sa.Connection, name: str) -> list[sa.RowMapping]:
    """The agents of this name or id, in the order of enrolment; names may be shared."""
    query = sa.select(agents).where(sa.or_(agents.c.name == name, agents.c.id == name))
    return list(connection.execute(query.order_by(agents.c.enrolled_at)).mappings())
