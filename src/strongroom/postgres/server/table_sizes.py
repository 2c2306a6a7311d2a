"""The largest tables of a server, for people who look for one in a recovery point."""

import psycopg
import structlog

from strongroom.model.errors import SourceError
from strongroom.model.work.operation import TableSize
from strongroom.postgres.server.connect import Conninfo, connect_to_read

MOST_DATABASES = 50
MOST_TABLES = 2000  # of all of them
_LARGEST = """
select n.nspname || '.' || c.relname, pg_catalog.pg_total_relation_size(c.oid) as size,
       d.oid || '/' || pg_catalog.pg_relation_filenode(c.oid)
from (select oid, relname, relnamespace from pg_catalog.pg_class
      where relkind in ('r', 'm') and oid >= 16384 order by relpages desc, oid desc limit 2000) c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
order by size desc nulls last, 1 limit 200
"""
_PATIENCE = "set statement_timeout = '10s'; set lock_timeout = '1s'"


def largest_tables(conninfo: Conninfo, databases: dict[str, int]) -> list[TableSize]:
    """The largest of each of `databases` (name -> bytes), with indexes and TOAST.

    They are for people: a backup goes on without those of a database that does not tell in time.
    """
    found: list[TableSize] = []
    for database in sorted(databases, key=lambda name: -databases[name])[:MOST_DATABASES]:
        try:
            with connect_to_read(conninfo.changed(dbname=database)) as connection:
                connection.execute(_PATIENCE)
                rows = connection.execute(_LARGEST).fetchall()
        except (SourceError, psycopg.Error) as error:
            log = structlog.get_logger("strongroom.agent")
            log.info("a database tells no sizes", database=database, why=type(error).__name__)
            continue
        found += [
            TableSize(database=database, table=str(name), bytes=int(size), file=str(file or ""))
            for name, size, file in rows
            if size is not None
        ]
    return found[:MOST_TABLES]
