"""What is wrong in storage: receipts in quarantine, damaged objects, while it is so."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import storage_findings as table


def replace(
    connection: sa.Connection,
    instance_id: str,
    kind: str,
    problems: Mapping[str, str],
    at: Instant,
) -> list[str]:
    """All that is wrong of this kind now, by object; returns the names that are new.

    kind: quarantined | damaged | missing | unlocked. What was found earlier keeps its time.
    """
    mine = sa.and_(table.c.instance_id == instance_id, table.c.kind == kind)
    known = set(connection.execute(sa.select(table.c.name).where(mine)).scalars())
    over = known - problems.keys()
    if over:
        connection.execute(table.delete().where(mine, table.c.name.in_(over)))
    new = sorted(problems.keys() - known)
    for name in new:
        add(connection, instance_id, kind, (name, problems[name]), at)
    return new


def add(
    connection: sa.Connection, instance_id: str, kind: str, what: tuple[str, str], at: Instant
) -> None:
    """One more of `what` = (object, problem); an object that is known takes the new words."""
    name, problem = what
    key = sa.and_(table.c.instance_id == instance_id, table.c.name == name)
    connection.execute(table.delete().where(key))
    row = {"instance_id": instance_id, "name": name, "kind": kind, "problem": problem}
    connection.execute(table.insert().values(**row, found_at=at))


def list_of_instance(connection: sa.Connection, instance_id: str) -> list[sa.RowMapping]:
    """name, kind, problem, found_at; in the order of names."""
    query = sa.select(table).where(table.c.instance_id == instance_id).order_by(table.c.name)
    return list(connection.execute(query).mappings())


def count_kinds(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Kind -> how many objects of these instances are so."""
    query = sa.select(table.c.kind, sa.func.count().label("many"))
    rows = connection.execute(query.where(table.c.instance_id.in_(ids)).group_by(table.c.kind))
    return {row.kind: int(row.many) for row in rows}
