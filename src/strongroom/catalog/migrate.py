"""Bring a catalogue's tables to what this version expects."""

from pathlib import Path

import sqlalchemy as sa

from strongroom.catalog.database import Database

HEAD = "0001"  # the newest step: a catalogue that stands there is left alone
_SCRIPTS = Path(__file__).parent / "migrations"


def current(database: Database) -> str | None:
    """The step at which a catalogue stands; None when it has no tables yet."""
    with database.reading() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.exec_driver_sql("select version_num from alembic_version").scalar()
        return None if found is None else str(found)


def upgrade(database: Database) -> list[str]:
    """Run the steps that are missing; one line for each thing done. Safe twice."""
    before = current(database)
    if before == HEAD:
        return [f"the catalogue is up to date ({HEAD})"]
    move(database, "head")
    return [f"the catalogue went from {before or 'nothing'} to {HEAD}"]


def move(database: Database, to: str) -> None:
    """Forward or back to a step, in one transaction."""
    # Alembic costs a third of a second to load: only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        if to in {"head", HEAD}:
            command.upgrade(config, "head")
        else:
            command.downgrade(config, to)
