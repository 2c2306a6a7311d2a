"""Until when locks hold, and which certificates there are: what alerts and metrics ask."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.points.recovery_points import COMPLETED
from strongroom.catalog.tables.tables import instances, principals, recovery_points, vaults
from strongroom.model.resources.vault import immutability_of


def immutable_instances(connection: sa.Connection) -> set[str]:
    """Those whose vault's locks bind."""
    query = sa.select(instances.c.id, vaults.c.properties)
    found = connection.execute(query.join(vaults, instances.c.vault_id == vaults.c.id))
    return {row.id for row in found if immutability_of(row.properties) != "Disabled"}


def last_locks(connection: sa.Connection) -> dict[str, tuple[Instant, Instant]]:
    """Instance -> (taken at, end) of the point whose lock ends last."""
    points = recovery_points
    whole = points.c.state == COMPLETED
    last = sa.select(points.c.instance_id, sa.func.max(points.c.expires_at).label("at"))
    last_of = last.where(whole).group_by(points.c.instance_id).subquery()
    same = sa.and_(
        points.c.instance_id == last_of.c.instance_id, points.c.expires_at == last_of.c.at
    )
    taken = sa.func.max(points.c.taken_at).label("taken_at")
    query = sa.select(points.c.instance_id, points.c.expires_at, taken).join(last_of, same)
    query = query.where(whole).group_by(points.c.instance_id, points.c.expires_at)
    return {row.instance_id: (row.taken_at, row.expires_at) for row in connection.execute(query)}


def certificates(connection: sa.Connection) -> list[tuple[str, str, str]]:
    """(id, name, PEM) of principals that sign in with one."""
    query = sa.select(principals.c.id, principals.c.display_name, principals.c.certificate)
    found = connection.execute(query.where(principals.c.certificate.is_not(None)))
    return [(row.id, row.display_name, row.certificate) for row in found]
