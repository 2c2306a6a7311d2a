"""Objects that no receipt names: condemned first, gone after a grace, or kept by the store.

condemned  nobody names it; a commit that does takes it off the list
going      decided: from here on no commit may name it, and its deletion is under way
retained   the store refuses to delete it (a lock, a hold); it is asked again later
"""

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import condemned as table
from strongroom.catalog.tables.tables import jobs
from strongroom.model.work.job import JobKind

GOING = "going"
RETAINED = "retained"
_AT_ONCE = 500  # names in one statement


def condemn(
    connection: sa.Connection, instance_id: str, unnamed: Mapping[str, int], at: Instant
) -> None:
    """Make the list equal to what is unnamed now (object -> bytes); known ones keep their time.

    What is going stays: it was decided.
    """
    known = {row["name"]: row["state"] for row in list_of_instance(connection, instance_id)}
    named = [name for name in known if name not in unnamed and known[name] != GOING]
    drop(connection, instance_id, named)
    new = [
        {"instance_id": instance_id, "name": name, "size": size, "state": "condemned", "since": at}
        for name, size in sorted(unnamed.items())
        if name not in known
    ]
    if new:
        connection.execute(table.insert(), new)


def pardon(connection: sa.Connection, instance_id: str, names: Collection[str]) -> list[str]:
    """A commit will name these: off the list. Returns those for which it is too late."""
    known = {row["name"]: row["state"] for row in list_of_instance(connection, instance_id)}
    found = [name for name in names if name in known]
    drop(connection, instance_id, [name for name in found if known[name] != GOING])
    return sorted(name for name in found if known[name] == GOING)


def oldest_unsettled(connection: sa.Connection, instance_id: str, late: Instant) -> Instant | None:
    """When the oldest job began that is under way, or has ended since `late`; None without one."""
    open_still = sa.or_(jobs.c.ended_at.is_(None), jobs.c.ended_at > late)
    query = sa.select(jobs.c.started_at).where(
        jobs.c.instance_id == instance_id, jobs.c.kind != JobKind.COLLECT.value, open_still
    )
    found: Instant | None = connection.execute(query.order_by(jobs.c.started_at)).scalar()
    return found


def set_state(
    connection: sa.Connection, instance_id: str, names: Collection[str], state: str
) -> None:
    """condemned | going | retained."""
    for part in _parts(names):
        connection.execute(
            table.update()
            .where(table.c.instance_id == instance_id, table.c.name.in_(part))
            .values(state=state)
        )


def drop(connection: sa.Connection, instance_id: str, names: Collection[str]) -> None:
    """Off the list."""
    for part in _parts(names):
        connection.execute(
            table.delete().where(table.c.instance_id == instance_id, table.c.name.in_(part))
        )


def list_of_instance(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """name, size, state, since; in the order of names."""
    query = sa.select(table).where(table.c.instance_id == instance_id).order_by(table.c.name)
    return list(connection.execute(query).mappings())


def _parts(names: Collection[str]) -> list[list[str]]:
    ordered = sorted(names)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
