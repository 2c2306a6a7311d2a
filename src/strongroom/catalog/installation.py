"""Whose catalogue this is: one installation's, from its first start on."""

import sqlalchemy as sa

from strongroom.catalog.tables import installation as table

_ID = "id"


def claim(connection: sa.Connection, installation_id: str) -> str:
    """Take a catalogue that is nobody's yet. Returns whose it is."""
    found = connection.execute(sa.select(table.c.value).where(table.c.name == _ID)).scalar()
    if found is not None:
        return str(found)
    connection.execute(table.insert().values(name=_ID, value=installation_id))
    return installation_id
