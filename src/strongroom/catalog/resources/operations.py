"""ARM's long-running operations; they survive a restart, and being asked twice."""

from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import operations


def add(connection: sa.Connection, operation: dict[str, Any]) -> None:
    """A new operation."""
    connection.execute(operations.insert().values(**operation))


def get(connection: sa.Connection, operation_id: str) -> sa.RowMapping | None:
    """One operation."""
    query = sa.select(operations).where(operations.c.id == operation_id)
    return connection.execute(query).mappings().first()


def find_by_request(connection: sa.Connection, request_key: str) -> str | None:
    """The operation that the same request began earlier."""
    query = sa.select(operations.c.id).where(operations.c.request_key == request_key)
    found = connection.execute(query).scalar()
    return None if found is None else str(found)


def end(connection: sa.Connection, operation_id: str, **values: Any) -> None:  # noqa: ANN401
    """status, ended_at, result, error; an ended operation stays as it ended."""
    connection.execute(
        operations.update()
        .where(operations.c.id == operation_id, operations.c.status == "Inprogress")
        .values(**values)
    )


def find_running(connection: sa.Connection, resource_id: str) -> str | None:
    """The operation that is under way for a resource."""
    query = sa.select(operations.c.id).where(
        operations.c.resource_id == resource_id, operations.c.status == "Inprogress"
    )
    found = connection.execute(query.order_by(operations.c.started_at.desc())).scalar()
    return None if found is None else str(found)


def list_running(connection: sa.Connection, kind: str) -> list[str]:
    """Every operation of a kind that is under way."""
    query = sa.select(operations.c.id).where(
        operations.c.kind == kind, operations.c.status == "Inprogress"
    )
    return list(connection.execute(query).scalars())


def forget(connection: sa.Connection, ended_before: Instant) -> int:
    """Drop what ended before then; how many there were."""
    dropped = connection.execute(operations.delete().where(operations.c.ended_at < ended_before))
    return dropped.rowcount
