"""The settings in the catalogue as rows that are put elsewhere, and laid into a new one.

All tables are taken but those that are told here: what passes, what storage itself tells, and the
audit. Of jobs those that have ended are taken, as far back as they are asked for. Times become
microseconds, bytes base64. A table that is added later is never forgotten.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.basis.database import Utc
from strongroom.catalog.oversight.approvals import GRANTED, WAITING
from strongroom.catalog.tables.tables import jobs, metadata
from strongroom.model.work.job import JobStatus

Row = dict[str, Any]
Rows = dict[str, list[Row]]
# What is under way, what was asked, and what is seen again: a new catalogue begins without it.
_PASSING = {"operations", "agent_operations", "executors", "schedules"}
_PASSING |= {"enrol_tokens", "failed_sign_ins", "sessions", "alerts", "tellings", "job_samples"}
_PASSING |= {"told_servers"}
_SEEN_AGAIN = {"recovery_points", "drills", "censuses", "storage_findings", "condemned", "audit"}
_SEEN_AGAIN |= {"usage", "point_sizes"}
# Of the log's packs there are many: they tell themselves what they hold (workflows/log_index.py).
_LOG = {"wal_gaps", "wal_histories", "wal_names", "wal_packs", "wal_streams"}
LEFT_OUT = frozenset(_PASSING | _SEEN_AGAIN | _LOG)
# Never in the rows: private keys come from their own objects in storage.
_SECRET = {"instance_keys": {"sealed_private"}, "jobs": {"sealed_signature"}}
_MOST_JOBS = 5000  # the newest of them
_AT_ONCE = 100  # rows, from the database
# What changes by itself is no change.
_UNCOMPARED = {
    "agents": {"seen_at", "session", "version"},
    "servers": {"seen_at", "facts"},
    "deletions": {"warned_at"},
}
_COUNTED_LATER = {"jobs", "bills"}  # these make no new snapshot: the next one has them
# Who may do what is as the newest snapshot says, and no more.
_REPLACED = ("role_assignments",)
_MOST_NAME = 40


def take(connection: sa.Connection, since: Instant) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every table and its rows, in the order of their keys; of jobs those ended `since`.

    Rows are read one by one, each table's before the next: others go on meanwhile, and nothing
    is held but the row at hand.
    """
    for table in _taken():
        query = _query(table, _SECRET.get(table.name, set()))
        yield table.name, _rows(connection, _ended(query, since) if table is jobs else query)


def compared(connection: sa.Connection) -> Iterator[tuple[str, Iterator[Row]]]:
    """As `take`, without what changes by itself: what it tells is new where this is."""
    for table in _taken():
        if table.name not in _COUNTED_LATER:
            hidden = _SECRET.get(table.name, set()) | _UNCOMPARED.get(table.name, set())
            yield table.name, _rows(connection, _query(table, hidden))


def _taken() -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def _query(table: sa.Table, hidden: set[str]) -> sa.Select[Any]:
    columns = [column for column in table.columns if column.name not in hidden]
    return sa.select(*columns).order_by(*table.primary_key.columns)


def _ended(query: sa.Select[Any], since: Instant) -> sa.Select[Any]:
    over = jobs.c.status != JobStatus.IN_PROGRESS.value, jobs.c.ended_at >= since
    newest = query.order_by(None).order_by(jobs.c.started_at.desc(), jobs.c.id)
    return newest.where(*over).limit(_MOST_JOBS)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Row]:
    # On PostgreSQL all rows would come at once otherwise; SQLite reads one by one anyway.
    options = {"stream_results": True, "max_row_buffer": _AT_ONCE}
    for row in connection.execute(query, execution_options=options).mappings():
        yield {name: _told(row[name]) for name in row}


def _told(value: Any) -> Any:  # noqa: ANN401 - any column's
    if isinstance(value, Instant):
        return value.timestamp(unit="microsecond")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def lay(connection: sa.Connection, rows: Rows) -> dict[str, int]:
    """Lay them over what is there; how many rows of each table were new or others.

    A row that they do not have stays. One that has a name which another needs gets a longer one.
    Private keys are left to the caller. An approval that was granted waits again: it may have been
    used since. Tables and columns that are not known are passed over.
    """
    counts = {}
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT | {"instance_keys"} or table.name not in rows:
            continue
        if table.name in _REPLACED:
            connection.execute(table.delete())
        changed = [_lay(connection, table, _read(table, row)) for row in rows[table.name]]
        counts[table.name] = sum(changed)
    return {name: count for name, count in counts.items() if count}


def _read(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    if table.name == "approvals" and row["state"] == GRANTED:
        again = {"state": WAITING, "decided_by": None, "decided_at": None, "good_from": None}
        row = {**row, **again}
    return {
        column.name: _value(column, row[column.name])
        for column in table.columns
        if column.name in row
    }


def _value(column: sa.Column[Any], told: Any) -> Any:  # noqa: ANN401 - any column's
    if told is None:
        return None
    if isinstance(column.type, Utc):
        return Instant.from_timestamp(told, unit="microsecond")
    return base64.b64decode(told) if isinstance(column.type, sa.LargeBinary) else told


def _lay(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    mine = sa.and_(*(key == row[key.name] for key in table.primary_key.columns))
    there = connection.execute(sa.select(table).where(mine)).mappings().first()
    if there is not None and all(there[name] == value for name, value in row.items()):
        return False
    _make_way(connection, table, row, mine)
    if there is None:
        connection.execute(table.insert().values(**row))
    else:
        connection.execute(table.update().where(mine).values(**row))
    return True


def _make_way(
    connection: sa.Connection, table: sa.Table, row: dict[str, Any], mine: sa.ColumnElement[bool]
) -> None:
    """Another row that has the name gets a longer one: by now it is gone, or called otherwise."""
    for unique in table.constraints:
        names = [column.name for column in getattr(unique, "columns", ())]
        if not isinstance(unique, sa.UniqueConstraint) or "name_key" not in names:
            continue
        same = sa.and_(*(table.c[name] == row[name] for name in names), sa.not_(mine))
        for other in connection.execute(sa.select(table).where(same)).mappings().all():
            name = f"{other['name'][:_MOST_NAME]}-{other['id'][:8]}"
            renamed = table.update().where(table.c.id == other["id"])
            connection.execute(renamed.values(name=name, name_key=name.lower()))
