"""The key pairs of backup instances; private halves sealed under the key-encryption key.

An instance has, for each purpose (catalogue | data), pairs numbered from 1: the highest is what
writers are given, those before it open what was written earlier.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import instance_keys as table


def add(connection: sa.Connection, key: dict[str, Any]) -> None:
    """A pair as the columns of the table name it; the one that has its number already stays."""
    mine = sa.and_(
        table.c.instance_id == key["instance_id"],
        table.c.purpose == key["purpose"],
        table.c.number == key["number"],
    )
    if connection.execute(sa.select(table.c.key_id).where(mine)).first() is None:
        connection.execute(table.insert().values(**key))


def find(connection: sa.Connection, instance_id: str, purpose: str) -> sa.RowMapping | None:
    """The pair that writers are given."""
    pairs = list_of_purpose(connection, instance_id, purpose)
    return pairs[-1] if pairs else None


def list_of_purpose(
    connection: sa.Connection, instance_id: str, purpose: str
) -> list[sa.RowMapping]:
    """In the order of their numbers."""
    query = sa.select(table).where(table.c.instance_id == instance_id, table.c.purpose == purpose)
    return list(connection.execute(query.order_by(table.c.number)).mappings())


def by_id(connection: sa.Connection, instance_id: str, key_id: bytes) -> sa.RowMapping | None:
    """A pair of this instance, by the id that headers name."""
    query = sa.select(table).where(
        table.c.instance_id == instance_id, table.c.key_id == bytes(key_id)
    )
    return connection.execute(query).mappings().first()


def list_of_instance(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """Every pair, by purpose and number."""
    query = sa.select(table).where(table.c.instance_id == instance_id)
    return list(connection.execute(query.order_by(table.c.purpose, table.c.number)).mappings())


def list_all(connection: sa.Connection) -> list[sa.RowMapping]:
    """Of every instance."""
    return list(connection.execute(sa.select(table).order_by(table.c.key_id)).mappings())


def count_escrowed(connection: sa.Connection, ids: Sequence[str]) -> tuple[int, int]:
    """Of these instances: (pairs, those that lie in storage for the recovery key too)."""
    query = sa.select(sa.func.count(), sa.func.count(table.c.escrow))
    pairs, escrowed = connection.execute(query.where(table.c.instance_id.in_(ids))).one()
    return int(pairs), int(escrowed)


def reseal(connection: sa.Connection, key_id: bytes, before: bytes, after: bytes) -> bool:
    """The same private half under another key-encryption key; False when it was not `before`."""
    mine = sa.and_(table.c.key_id == key_id, table.c.sealed_private == before)
    found = connection.execute(table.update().where(mine).values(sealed_private=after))
    return bool(found.rowcount)


def note_escrow(connection: sa.Connection, key_id: bytes, digest: bytes | None) -> None:
    """What lies in storage for the recovery key: BLAKE3 of the object, None for any."""
    mine = table.c.key_id == bytes(key_id)
    connection.execute(table.update().where(mine).values(escrow=digest))


def leave_no_trace(database: Database) -> bool:
    """Of what was destroyed neither free pages nor the log keep the bytes. Safe twice.

    SQLite overwrites what it deletes, and here its log is emptied: False when somebody read for
    so long that it could not be. PostgreSQL writes the table anew; of its own log and of backups
    nobody but their keeper can take anything away.
    """
    raw = database.engine.raw_connection()  # outside of any transaction
    try:
        if database.is_sqlite:
            busy = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy
        driver: Any = raw.driver_connection
        driver.autocommit = True
        driver.execute("VACUUM FULL instance_keys")
        driver.autocommit = False
        return True
    finally:
        raw.close()


def destroy(connection: sa.Connection, instance_id: str) -> int:
    """Every pair of an instance goes; how many there were."""
    found = connection.execute(table.delete().where(table.c.instance_id == instance_id))
    return int(found.rowcount)
