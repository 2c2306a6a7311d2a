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


def forget(connection: sa.Connection, executor_ids: Sequence[str]) -> None:
    """They have been taken over; if one comes back it beats again."""
    if executor_ids:
        connection.execute(executors.delete().where(executors.c.id.in_(executor_ids)))
