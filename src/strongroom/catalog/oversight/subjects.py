"""What an id of the audit is about: the instance of it, by name, while the catalogue knows it."""

from collections.abc import Collection

import sqlalchemy as sa

from strongroom.catalog.tables.tables import instances, jobs, recovery_points

_AT_ONCE = 500


def instance_names(connection: sa.Connection, ids: Collection[str]) -> dict[str, str]:
    """Id of an instance, a recovery point or a job -> name of its instance."""
    found: dict[str, str] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        own = sa.select(instances.c.id, instances.c.name).where(instances.c.id.in_(some))
        found |= {row.id: row.name for row in connection.execute(own)}
        for table in (recovery_points, jobs):
            query = sa.select(table.c.id, instances.c.name)
            query = query.join(instances, table.c.instance_id == instances.c.id)
            rows = connection.execute(query.where(table.c.id.in_(some)))
            found |= {row.id: row.name for row in rows}
    return found
