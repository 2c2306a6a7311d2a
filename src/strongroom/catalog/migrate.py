"""Bring a catalogue's tables to what this version expects."""

from strongroom.catalog.database import Database
from strongroom.catalog.tables import metadata


def upgrade(database: Database) -> list[str]:
    """Make what is missing; one line for each thing done. Safe twice."""
    with database.writing() as connection:
        metadata.create_all(connection)
    return ["the catalogue is up to date"]
