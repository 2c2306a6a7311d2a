"""Which `serve` processes are alive: whoever falls silent is taken over."""

from collections.abc import Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables import executors


def beat(connection: sa.Connection, executor_id: str, at: Instant) -> None:
    """This process is alive."""
    updated = connection.execute(
        executors.update().where(executors.c.id == executor_id).values(seen_at=at)
    )
    if updated.rowcount == 0:
        connection.execute(executors.insert().values(id=executor_id, seen_at=at))


def silent_since(connection: sa.Connection, before: Instant) -> list[str]:
    """Processes not heard of since then."""
    query = sa.select(executors.c.id).where(executors.c.seen_at < before)
    return list(connection.execute(query).scalars())


def forget(connection: sa.Connection, executor_ids: Sequence[str], before: Instant) -> None:
    """They have been taken over; one that has come back since then stays."""
    gone = sa.and_(executors.c.id.in_(executor_ids), executors.c.seen_at < before)
    connection.execute(executors.delete().where(gone))
