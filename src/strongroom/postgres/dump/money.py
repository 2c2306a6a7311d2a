"""Amounts of type money: a server writes and reads them as its lc_monetary says.

What was written as one locale has it, another refuses, or reads as another amount: $12.50 of the
locale C are no money in Germany, and 12.50 are 1,250. So whoever loads says how it was written.
Source: PostgreSQL manual, "Monetary Types"; pg_dump does not say it by itself.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from strongroom.model.errors import TargetRefused
from strongroom.postgres.dump.database_settings import settings_of
from strongroom.postgres.dump.list_dump import definitions_in
from strongroom.postgres.server.client import Client
from strongroom.postgres.server.connect import Conninfo, connect
from strongroom.postgres.server.tools import Tools

_NAME, _DEFAULT = "lc_monetary", "C"
_MONEY = re.compile(r"\bmoney\b")


def written_as(parameters: Mapping[str, Any], database: str = "") -> str:
    """The locale of a dump's amounts, by its parameters (postgres/dump/dump.py)."""
    own = [s.value for s in settings_of(parameters, database) if (s.role, s.name) == ("", _NAME)]
    server = [s["setting"] for s in parameters["settings"] if s["name"] == _NAME]
    return str([*own, *server, _DEFAULT][0])


def reading_money(
    client: Client, conninfo: Conninfo, tools: Tools, dump: Path, locale: str
) -> Client:
    """The client, told to read amounts as `locale` has them, where a dump has any and the database
    of `conninfo` would read them otherwise.

    Raises TargetRefused when the server does not know the locale, TargetError, SourceError.
    """
    if not _MONEY.search(definitions_in(tools, dump)):
        return client
    with connect(conninfo) as connection:
        row = connection.execute("select pg_catalog.current_setting(%s)", (_NAME,)).fetchone()
        if row == (locale,):
            return client
        try:
            connection.execute("select pg_catalog.set_config(%s, %s, false)", (_NAME, locale))
        except psycopg.DatabaseError as error:
            if connection.broken:
                raise
            raise TargetRefused(
                f"the dump has amounts of type money as the locale {locale} has them, which the "
                "server does not know",
                hint="Install that locale on the server's host, restart the server, and retry.",
            ) from error
    return client.told(_NAME, locale)
