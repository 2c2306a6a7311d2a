"""What files of relations are called: the log knows them by number alone.

A file's number is gone from the catalogue once its table is dropped or truncated, so the names are
remembered; of what nobody ever saw there is none.
"""

import psycopg

from strongroom.model.errors import SourceError
from strongroom.model.seams import Clock
from strongroom.postgres.server.connect import Conninfo, can_be_asked_for, connect_to_read

MOST = 200_000  # relations
_REFRESH_SECONDS = 30.0
_DATABASES = "select datname, oid from pg_catalog.pg_database where datallowconn"
_RELATIONS = """
select pg_catalog.pg_relation_filenode(c.oid), n.nspname, c.relname, c.relkind
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid >= 16384 and c.relkind in ('r', 'm', 't', 'i') limit 50000
"""


class RelationNames:
    """Names of one server's tables by "database/file"; other relations are known and nameless."""

    def __init__(self, conninfo: Conninfo, clock: Clock) -> None:
        self._conninfo = conninfo
        self._clock = clock
        self._names: dict[str, str] = {}
        self._looked = float("-inf")

    def name(self, key: str) -> str | None:
        """`shop.public.entries`; empty for an index or the like, None for what is not known."""
        return self._names.get(key)

    def learn(self, keys: set[str]) -> None:
        """Look at the server where one of these is not known, and not too often."""
        now = self._clock.monotonic()
        if keys <= set(self._names) or now - self._looked < _REFRESH_SECONDS:
            return
        self._looked = now
        try:
            self._look()
        except (SourceError, psycopg.Error):
            return  # names are for people: the log goes on without them

    def _look(self) -> None:
        with connect_to_read(self._conninfo) as connection:
            databases = dict(connection.execute(_DATABASES).fetchall())
            names = can_be_asked_for(connection, databases)
        for database in names:
            oid = databases[database]
            with connect_to_read(self._conninfo.changed(dbname=database)) as connection:
                for file, schema, name, kind in connection.execute(_RELATIONS):
                    if len(self._names) >= MOST:
                        return
                    shown = f"{database}.{schema}.{name}" if kind in {"r", "m"} else ""
                    self._names[f"{oid}/{file}"] = shown
