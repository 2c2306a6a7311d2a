"""The settings in the catalogue as rows that are put elsewhere, and laid into a new one.

All tables are taken but those that are told here: what passes, what storage itself tells, and the
audit. Times become microseconds, bytes base64. A table that is added later is never forgotten.
"""

import base64
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.database import Utc
from strongroom.catalog.tables import metadata

Rows = dict[str, list[dict[str, Any]]]
# What is under way, what was asked, and what is seen again: a new catalogue begins without it.
_PASSING = {"jobs", "operations", "agent_operations", "executors", "schedules", "drills"}
_PASSING |= {"enrol_tokens", "failed_sign_ins", "approvals", "sessions"}
_PASSING |= {"alerts"}
_SEEN_AGAIN = {"recovery_points", "censuses", "storage_findings", "condemned", "audit"}
# Of the log's packs there are many: they stay in storage, untouched (docs/operations.md).
_LOG = {"wal_gaps", "wal_histories", "wal_names", "wal_packs", "wal_streams"}
LEFT_OUT = frozenset(_PASSING | _SEEN_AGAIN | _LOG)
# Never in the rows: private keys come from their own objects in storage.
_SECRET = {"instance_keys": {"sealed_private"}}
# What changes by itself is no change.
_UNCOMPARED = {
    "agents": {"seen_at", "session", "version"},
    "servers": {"seen_at", "facts"},
    "deletions": {"warned_at"},
}
# Who may do what is as the newest snapshot says, and no more.
_REPLACED = ("role_assignments",)
_MOST_NAME = 40


def take(connection: sa.Connection) -> Rows:
    """Every table's rows, in the order of their keys."""
    found: Rows = {}
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        hidden = _SECRET.get(table.name, set())
        columns = [column for column in table.columns if column.name not in hidden]
        query = sa.select(*columns).order_by(*table.primary_key.columns)
        rows = connection.execute(query).mappings()
        found[table.name] = [{name: _told(row[name]) for name in row} for row in rows]
    return found


def compared(rows: Rows) -> Rows:
    """Without what changes by itself."""
    return {
        table: [{name: value for name, value in row.items() if name not in hidden} for row in some]
        for table, some in rows.items()
        for hidden in [_UNCOMPARED.get(table, set())]
    }


def _told(value: Any) -> Any:  # noqa: ANN401 - any column's
    if isinstance(value, Instant):
        return value.timestamp(unit="microsecond")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def lay(connection: sa.Connection, rows: Rows) -> dict[str, int]:
    """Lay them over what is there; how many rows of each table were new or others.

    A row that they do not have stays. One that has a name which another needs gets a longer one.
    Private keys are left to the caller. Tables and columns that are not known are passed over.
    """
    counts = {}
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT or table.name in _SECRET or table.name not in rows:
            continue
        if table.name in _REPLACED:
            connection.execute(table.delete())
        changed = [_lay(connection, table, _read(table, row)) for row in rows[table.name]]
        counts[table.name] = sum(changed)
    return {name: count for name, count in counts.items() if count}


def _read(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
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
