"""The catalogue as it lies in its file: rows, read in one transaction, with no rule applied."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.doors import reading

_JSON = ("detail", "before", "after", "error", "sub_tasks", "order", "result", "warnings")
_TABLES = (
    "jobs",
    "recovery_points",
    "agent_operations",
    "instances",
    "vaults",
    "policies",
    "resource_groups",
    "role_assignments",
    "agents",
    "servers",
    "holds",
    "audit",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Book:
    """Table -> rows. JSON columns are parsed, times are microseconds since 1970."""

    tables: dict[str, list[Row]]

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables[table]

    def jobs(self) -> dict[str, Row]:
        return {row["id"]: row for row in self["jobs"]}

    def points(self) -> dict[str, Row]:
        return {row["id"]: row for row in self["recovery_points"]}

    def records(self, action: str) -> list[Row]:
        """The audit's records of one kind."""
        return [row for row in self["audit"] if row["action"] == action]


def open_book(path: Path) -> Book:
    """Everything that the oracle asks of a catalogue."""
    with reading(path) as connection:
        return Book({table: _rows(connection, table) for table in _TABLES})


def _rows(connection: Any, table: str) -> list[Row]:
    cursor = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in cursor.description]
    return [
        {
            name: json.loads(value) if name in _JSON and value is not None else value
            for name, value in zip(names, row, strict=True)
        }
        for row in cursor
    ]


def every_value(path: Path) -> list[tuple[str, str]]:
    """(table, row as text) of a whole SQLite file: where a secret must not be."""
    found: list[tuple[str, str]] = []
    with reading(path) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in connection.execute(query).fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"')
            found += [(table, repr(row)) for row in rows]
    return found
