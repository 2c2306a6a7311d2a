"""When each rule of each protected instance fires next."""

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.tables import instances, policies, schedules


def due(connection: sa.Connection, now: Instant) -> list[sa.RowMapping]:
    """Every interval whose time has come, with its policy and its instance's properties."""
    query = (
        sa.select(
            schedules,
            policies.c.properties.label("policy"),
            instances.c.state.label("instance_state"),
            instances.c.properties,
        )
        .join(instances, schedules.c.instance_id == instances.c.id)
        .join(policies, instances.c.policy_id == policies.c.id)
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
