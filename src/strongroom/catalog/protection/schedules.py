"""When each rule of each protected instance fires next."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables.tables import instances, policies, schedules, servers, vaults

_users = instances.alias("users")


def due(connection: sa.Connection, now: Instant) -> list[sa.RowMapping]:
    """Every interval whose time has come, with its policy and what its instance hangs on.

    `instances`: how many there are under the policy.
    """
    many = sa.select(sa.func.count()).where(_users.c.policy_id == policies.c.id)
    query = (
        sa.select(
            schedules,
            policies.c.properties.label("policy"),
            many.scalar_subquery().label("instances"),
            instances.c.state.label("instance_state"),
            instances.c.properties,
            instances.c.vault_id,
            vaults.c.properties.label("vault_properties"),
            servers.c.agent_id,
        )
        .join(instances, schedules.c.instance_id == instances.c.id)
        .join(policies, instances.c.policy_id == policies.c.id)
        .join(vaults, instances.c.vault_id == vaults.c.id)
        .join(servers, instances.c.server_id == servers.c.id)
        .where(schedules.c.next_fire_at <= now)
        .order_by(schedules.c.next_fire_at)
    )
    return list(connection.execute(query).mappings())


def move_on(connection: sa.Connection, due: sa.RowMapping, following: Instant | None) -> bool:
    """From its time to the next one, or to none; False when it was moved on already."""
    unmoved = sa.and_(
        *(schedules.c[name] == due[name] for name in ("instance_id", "rule_name", "position")),
        schedules.c.next_fire_at == due["next_fire_at"],
    )
    if following is None:
        return connection.execute(schedules.delete().where(unmoved)).rowcount == 1
    moved = schedules.update().where(unmoved).values(next_fire_at=following)
    return connection.execute(moved).rowcount == 1


def waiting(
    connection: sa.Connection, instance_id: str, now: Instant
) -> dict[tuple[str, int], Instant]:
    """(rule, position) of the instance's intervals that are due -> since when."""
    query = sa.select(schedules).where(
        schedules.c.instance_id == instance_id, schedules.c.next_fire_at <= now
    )
    rows = connection.execute(query)
    return {(row.rule_name, row.position): row.next_fire_at for row in rows}


def replace(
    connection: sa.Connection, instance_id: str, times: list[tuple[str, int, Instant]]
) -> None:
    """The instance's intervals are now these: (rule, position, next fire)."""
    connection.execute(schedules.delete().where(schedules.c.instance_id == instance_id))
    for rule_name, position, next_fire_at in times:
        connection.execute(
            schedules.insert().values(
                instance_id=instance_id,
                rule_name=rule_name,
                position=position,
                next_fire_at=next_fire_at,
            )
        )


def next_of_instance(connection: sa.Connection, instance_id: str) -> Instant | None:
    """The next scheduled backup."""
    query = (
        sa.select(schedules.c.next_fire_at)
        .where(schedules.c.instance_id == instance_id)
        .order_by(schedules.c.next_fire_at)
        .limit(1)
    )
    row = connection.execute(query).first()
    return row.next_fire_at if row else None
