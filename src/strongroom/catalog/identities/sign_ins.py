"""Sign-ins that failed in a row, by who tried: every `serve` process counts the same ones."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from whenever import Instant

from strongroom.catalog.tables.tables import failed_sign_ins as table


def failures(connection: sa.Connection, who: str) -> tuple[int, Instant] | None:
    """(how many in a row, when the last one was); None when there is none."""
    query = sa.select(table.c.failures, table.c.last_at).where(table.c.who == who)
    found = connection.execute(query).first()
    return None if found is None else (int(found[0]), found[1])


def add_failure(connection: sa.Connection, who: str, at: Instant) -> None:
    """One more."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    more = insert(table).values(who=who, failures=1, last_at=at)
    changes = {"failures": table.c.failures + 1, "last_at": at}
    connection.execute(more.on_conflict_do_update(index_elements=["who"], set_=changes))


def claim_try(connection: sa.Connection, who: str, seen: int, at: Instant) -> bool:
    """Count a try beforehand. False when another one has been counted since `seen` was."""
    claimed = connection.execute(
        table.update()
        .where(table.c.who == who, table.c.failures == seen)
        .values(failures=seen + 1, last_at=at)
    )
    return claimed.rowcount == 1


def forget(connection: sa.Connection, who: str) -> None:
    """They signed in."""
    connection.execute(table.delete().where(table.c.who == who))


def forget_before(connection: sa.Connection, at: Instant) -> None:
    """Whoever has not tried since then."""
    connection.execute(table.delete().where(table.c.last_at < at))
