"""Whose catalogue this is: one installation's, from its first start on."""

import sqlalchemy as sa

from strongroom.catalog.tables.tables import installation as table

_ID = "id"


def claim(connection: sa.Connection, installation_id: str) -> str:
    """Take a catalogue that is nobody's yet. Returns whose it is."""
    found = connection.execute(sa.select(table.c.value).where(table.c.name == _ID)).scalar()
    if found is not None:
        return str(found)
    connection.execute(table.insert().values(name=_ID, value=installation_id))
    return installation_id


def get(connection: sa.Connection, name: str) -> str:
    """A fact of the installation; "" when it was never put."""
    found = connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()
    return str(found or "")


def put(connection: sa.Connection, name: str, value: str) -> None:
    """Keep it, in place of what was kept under this name."""
    connection.execute(table.delete().where(table.c.name == name))
    connection.execute(table.insert().values(name=name, value=value))
