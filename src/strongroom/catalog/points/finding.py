"""What somebody looks for by a piece of its name: points and jobs by id, databases."""

from typing import Any

import sqlalchemy as sa

from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.tables import jobs, recovery_points

MOST = 10


def points(connection: sa.Connection, beginning: str) -> list[sa.RowMapping]:
    """(id, instance_id, taken_at) of whole points whose id begins so, the newest first."""
    table = recovery_points
    query = sa.select(table.c.id, table.c.instance_id, table.c.taken_at)
    query = query.where(_begins(connection, table.c.id, beginning), table.c.state == COMPLETED)
    return _rows(connection, query.order_by(table.c.taken_at.desc()))


def jobs_of(connection: sa.Connection, beginning: str) -> list[sa.RowMapping]:
    """(id, instance_id, kind, started_at) of jobs whose id begins so, the newest first."""
    query = sa.select(jobs.c.id, jobs.c.instance_id, jobs.c.kind, jobs.c.started_at)
    query = query.where(_begins(connection, jobs.c.id, beginning))
    return _rows(connection, query.order_by(jobs.c.started_at.desc()))


def _begins(
    connection: sa.Connection, column: sa.Column[str], beginning: str
) -> sa.ColumnElement[bool]:
    """SQLite's LIKE reads every row, a range by the key's index none: `g` comes after all digits.

    PostgreSQL orders text by its locale: there a range might miss what begins so.
    """
    if connection.dialect.name == "sqlite":
        return sa.and_(column >= beginning, column < f"{beginning}g")
    return column.startswith(beginning)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[sa.RowMapping]:
    return list(connection.execute(query.limit(MOST)).mappings())


def databases(connection: sa.Connection) -> dict[str, list[str]]:
    """Instance -> the databases in its newest whole point."""
    table = recovery_points
    newest = sa.select(table.c.instance_id, sa.func.max(table.c.taken_at).label("at"))
    newest_of = newest.where(table.c.state == COMPLETED).group_by(table.c.instance_id).subquery()
    same = sa.and_(
        table.c.instance_id == newest_of.c.instance_id, table.c.taken_at == newest_of.c.at
    )
    query = sa.select(table.c.instance_id, table.c.facts["databases"].label("names"))
    return {
        row.instance_id: list(row.names or {})
        for row in connection.execute(query.join(newest_of, same))
    }
