"""The key pairs of backup instances; private halves sealed under the key-encryption key."""

import sqlalchemy as sa

from strongroom.catalog.tables import instance_keys


def add(connection: sa.Connection, key: dict[str, object]) -> None:
    """A pair as the columns of the table name it; the first one stays."""
    known = find(connection, str(key["instance_id"]), str(key["purpose"]))
    if known is None:
        connection.execute(instance_keys.insert().values(**key))


def find(connection: sa.Connection, instance_id: str, purpose: str) -> sa.RowMapping | None:
    """The pair of an instance for a purpose: catalogue | data."""
    query = sa.select(instance_keys).where(
        instance_keys.c.instance_id == instance_id, instance_keys.c.purpose == purpose
    )
    return connection.execute(query).mappings().first()
