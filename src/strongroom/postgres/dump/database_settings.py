"""ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET: taken over from a dumped server.

pg_dump leaves them out unless it makes the database itself. Source: PostgreSQL's catalogue
pg_db_role_setting; dumputils.c, makeAlterConfigCommand and variable_is_guc_list_quote.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

# Their values are lists of quoted names: one literal would be one name.
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one database; of a role in it, when `role` is not empty."""

    role: str
    name: str
    value: str

    @property
    def words(self) -> str:
        """For people; without the value."""
        return f"{self.name} of the role {self.role}" if self.role else self.name

    def statement(self, database: str) -> sql.Composed:
        """What sets it in a database of this name."""
        where = sql.SQL("DATABASE {}").format(sql.Identifier(database))
        if self.role:
            where = sql.SQL("ROLE {} IN {}").format(sql.Identifier(self.role), where)
        values = _elements(self.value) if self.name.lower() in _LISTS else [self.value]
        return sql.SQL("ALTER {} SET {} TO {}").format(
            where,
            sql.SQL(".").join(map(sql.Identifier, self.name.split("."))),
            sql.SQL(", ").join(map(sql.Literal, values)),
        )


def settings_of(parameters: Mapping[str, Any], database: str) -> Iterator[Setting]:
    """Those of one database, of a dump's parameters (postgres/dump/dump.py)."""
    for told in parameters["ofDatabasesAndRoles"]:
        if told["database"] == database:
            for setting in told["settings"]:
                name, _, value = setting.partition("=")
                yield Setting(told["role"], name, value)


def apply_settings(
    connection: psycopg.Connection[tuple[Any, ...]],
    database: str,
    settings: Iterable[Setting],
    roles: set[str],
) -> list[str]:
    """Set them; `roles` are there. Returns those that cannot be set, and why, a line each."""
    refused: list[str] = []
    for setting in settings:
        if setting.role and setting.role not in roles:
            refused.append(f"{setting.words}: the role is missing")
            continue
        try:
            connection.execute(setting.statement(database))
        except psycopg.DatabaseError as error:
            if connection.broken:
                raise
            refused.append(f"{setting.words}: {error.diag.message_primary or error}")
    return refused


def _elements(value: str) -> list[str]:
    found = [bare or quoted.replace('""', '"') for quoted, bare in _ELEMENT.findall(value)]
    return found or [""]
