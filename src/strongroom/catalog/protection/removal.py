"""Take a thing out of the catalogue with everything that belongs to it.

What belongs to it is what refers to it: a table that is added later is never forgotten here. The
audit refers to nothing, and keeps everything.
"""

import sqlalchemy as sa

from strongroom.catalog.tables.tables import instances, metadata, servers, vaults


def remove_instance(connection: sa.Connection, instance_id: str) -> None:
    """Its points, jobs, keys, schedules, holds and findings go with it."""
    _remove(connection, instances, instances.c.id == instance_id)


def remove_vault(connection: sa.Connection, vault_id: str) -> None:
    """Its policies go with it, and whatever else it holds."""
    _remove(connection, vaults, vaults.c.id == vault_id)


def remove_server(connection: sa.Connection, server_id: str) -> None:
    """One that nothing protects, with its long-term backups."""
    _remove(connection, servers, servers.c.id == server_id)


def _remove(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> None:
    for other in metadata.sorted_tables:
        for key in other.foreign_keys:
            if key.column.table is table:
                gone = sa.select(key.column).where(which)
                _remove(connection, other, key.parent.in_(gone))
    connection.execute(table.delete().where(which))
