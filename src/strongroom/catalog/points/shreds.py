"""What was shredded: the certificates, which outlive the instances that they speak of."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import shreds as table


def add(
    connection: sa.Connection, instance_id: str, vault_id: str, at: Instant, certificate: bytes
) -> None:
    """Of an instance, once."""
    row = {"instance_id": instance_id, "vault_id": vault_id, "at": at}
    connection.execute(table.insert().values(**row, certificate=certificate))


def find(connection: sa.Connection, instance_id: str) -> bytes | None:
    """The certificate of an instance; None when it was not shredded."""
    query = sa.select(table.c.certificate).where(table.c.instance_id == instance_id)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def list_of_vault(connection: sa.Connection, vault_id: str) -> list[sa.RowMapping]:
    """Newest first."""
    query = sa.select(table).where(table.c.vault_id == vault_id)
    return list(connection.execute(query.order_by(table.c.at.desc())).mappings())
