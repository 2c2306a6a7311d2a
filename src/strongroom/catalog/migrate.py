"""Bring a catalogue's tables to what this version expects."""

from pathlib import Path

import sqlalchemy as sa

from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import metadata
from strongroom.model.errors import Precondition

HEAD = "0001"  # the newest step: a catalogue that stands there is left alone
_KNOWN = ("0001",)  # every step, oldest first
_LOCK = 0x5352_4341_5431  # on PostgreSQL: one process at a time moves a catalogue
_SCRIPTS = Path(__file__).parent / "migrations"


def current(database: Database) -> str | None:
    """The step at which a catalogue stands; None when it has no tables yet."""
    with database.reading() as connection:
        return _current(connection)


def upgrade(database: Database) -> list[str]:
    """Run the steps that are missing; one line for each thing done. Safe twice, and at once.

    Raises Precondition for a catalogue that a newer version has moved on, and for tables that
    stand there without a step and are not the first ones.
    """
    before = current(database)
    if before == HEAD:
        return [f"the catalogue is up to date ({HEAD})"]
    if before is not None and before not in _KNOWN:
        raise Precondition(
            f"the catalogue stands at step {before[:40]}, which this version does not know",
            hint="a newer strongroom has moved it on: install that version again",
        )
    move(database, "head")
    return [f"the catalogue went from {before or 'nothing'} to {HEAD}"]


def move(database: Database, to: str) -> None:
    """Forward or back to a step, in one transaction."""
    # Alembic costs a third of a second to load: only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if _current(connection) is None and sa.inspect(connection).has_table("installation"):
            _check_first(connection)
            command.stamp(config, _KNOWN[0])
        if to in {"head", HEAD}:
            command.upgrade(config, "head")
        else:
            command.downgrade(config, to)


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("select version_num from alembic_version").scalar()
    return None if found is None else str(found)


def _check_first(connection: sa.Connection) -> None:
    """Tables without a step are taken over only when they have exactly the known columns."""
    found = sa.inspect(connection)
    for table in metadata.sorted_tables:
        there = found.get_columns(table.name) if found.has_table(table.name) else []
        if {column["name"] for column in there} != {column.name for column in table.columns}:
            raise Precondition(
                f"the catalogue's table {table.name} was made by a version before the first",
                hint="start with a new data directory; `strongroom rescue` reads the old storage",
            )
