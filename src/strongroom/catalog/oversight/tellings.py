"""Who tells what where: one process at a time, and nobody again once it is told."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.portal_tables import tellings as table


def claim(
    connection: sa.Connection, what: str, places: Sequence[str], now: Instant, until: Instant
) -> list[str]:
    """Those of the places that are to be told by us, until then; nobody else is given them.

    Not those that were told, nor those that another process has. In a writing transaction.
    """
    query = sa.select(table).where(table.c.what == what, table.c.place.in_(places))
    known = {row.place: row for row in connection.execute(query)}
    taken = {p for p, row in known.items() if row.told_at is not None or row.until > now}
    ours = [place for place in places if place not in taken]
    for place in ours:
        _give(connection, what, [place])
        row = {"what": what, "place": place, "until": until}
        connection.execute(table.insert().values(**row))
    return ours


def settle(
    connection: sa.Connection,
    what: str,
    told: Collection[str],
    failed: Collection[str],
    at: Instant,
) -> set[str]:
    """Note who was told by us, and let go of whom we could not; all who were told by now."""
    mine = table.c.what == what
    connection.execute(table.update().where(mine, table.c.place.in_(told)).values(told_at=at))
    _give(connection, what, failed)
    query = sa.select(table.c.place).where(mine, table.c.told_at.is_not(None))
    return set(connection.execute(query).scalars())


def forget(connection: sa.Connection, before: Instant) -> None:
    """What was told, or tried, before then."""
    connection.execute(table.delete().where(table.c.until < before))


def _give(connection: sa.Connection, what: str, places: Collection[str]) -> None:
    connection.execute(table.delete().where(table.c.what == what, table.c.place.in_(places)))
